"""Values that files rarely hold and programs rarely expect."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.fuzz.watch import MARK

__all__ = ["CODE", "NUMBERS", "TEXTS", "any_number", "any_text", "any_value"]

CODE = f"__import__('os').mkdir('{MARK}')"
NUMBERS = (
    0, 1, -1, 2, 3, 7, 8, 63, 64, 127, 128, 255, 256, 1000, 65535, 65536, 10**6, 10**9, 2**31 - 1, 2**31, -(2**31),
    2**32 - 1, 2**32, 2**40, 2**61 - 1, 2**62, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30, -(10**30),
)  # fmt: skip
TEXTS = (
    "", " ", "0", "-1", "a", "weight", "bias", "forward", "__class__", "__dict__", "__call__", "../data.pkl", "/", "..",
    "a.b", "a" * 5000, "\x00", "\x1b[2J\x1b]0;x\x07", "a\nb", "\n::error::x", "\r", "\t", "`", "```", "<img src=x>",
    "{0.__class__}", "%s%n", "\u202e\u2066", "\ud800", "é", "日本", "🧨", "\U0001d4b3", "[bold]x[/bold]", "[/]", "\\",
    "\\x1b[2J", "'", '"', "nan", "inf", "1e999", "0x10", "1_0", "True", "None", "*", "[[[", "(" * 300, "9**9**9**9",
    CODE, f"{MARK}", f"x={CODE}", f"x: {CODE}", "lambda: 0", "torch.ops.aten.relu.default", "s0", "Symbol('x')",
)  # fmt: skip


def any_number(random: Random) -> int:
    chosen = random.choice(NUMBERS)
    return chosen if random.random() < 0.7 else random.randrange(-100, 100)


def any_text(random: Random) -> str:
    if random.random() < 0.8:
        return random.choice(TEXTS)
    return "".join(
        chr(random.choice((random.randrange(32), random.randrange(128), random.randrange(0xD7FF)))) for _ in range(8)
    )


def any_value(random: Random, depth: int = 0) -> Any:
    """Something that JSON can say."""
    kinds = ["number", "text", "float", "none", "true", "false"] + (["list", "dict", "deep"] if depth < 2 else [])
    kind = random.choice(kinds)
    if kind == "list":
        return [any_value(random, depth + 1) for _ in range(random.randrange(4))]
    if kind == "dict":
        return {any_text(random): any_value(random, depth + 1) for _ in range(random.randrange(4))}
    if kind == "deep":
        value: Any = any_value(random, 2)
        for _ in range(random.choice((5, 50, 300))):
            value = [value] if random.random() < 0.5 else {"a": value}
        return value
    floats = (0.0, -0.0, 0.5, 1e308, -1e308, 5e-324, float("inf"), float("nan"))
    plain = {"none": None, "true": True, "false": False, "float": random.choice(floats)}
    if kind in plain:
        return plain[kind]
    return any_number(random) if kind == "number" else any_text(random)
