"""Mutations that know nothing of a format, and those of text."""

from __future__ import annotations

import re
from random import Random

from tests.fuzz.nasty import any_number, any_text

__all__ = ["mutate_bytes", "mutate_text"]

_WORDS = re.compile(r"[A-Za-z_]+|\d+|\s+|.", re.DOTALL)


def mutate_bytes(random: Random, data: bytes, other: bytes = b"") -> bytes:
    """Flip, cut out, insert, repeat, cut off, or go on with another file."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        size = len(changed)
        at = random.randrange(size + 1)
        length = min(random.choice((1, 2, 4, 8, 64, 1000)), size - at)
        kind = random.choice(("flip", "flip", "set", "cut", "insert", "repeat", "end", "splice"))
        if kind == "flip" and at < size:
            changed[at] ^= 1 << random.randrange(8)
        elif kind == "set":
            width = random.choice((1, 2, 4, 8))
            value = (any_number(random) % 256**width).to_bytes(width, "little")
            changed[at : at + width] = value
        elif kind == "cut":
            del changed[at : at + length]
        elif kind == "insert":
            changed[at:at] = random.randbytes(random.choice((1, 2, 4, 100)))
        elif kind == "repeat":
            changed[at:at] = changed[at : at + length] * random.choice((1, 2, 50))
        elif kind == "end" and random.random() < 0.3:
            del changed[at:]
        elif kind == "splice" and other and random.random() < 0.3:
            changed[at:] = other[random.randrange(len(other)) :]
    return bytes(changed)


def mutate_text(random: Random, text: str, other: str = "") -> str:
    """Replace, drop, double and insert words and signs, or go on with another text."""
    words = _WORDS.findall(text)
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(words) + 1)
        kind = random.choice(("replace", "replace", "number", "drop", "double", "insert", "swap", "splice"))
        if kind == "replace" and at < len(words):
            words[at] = any_text(random)
        elif kind == "number":
            places = [index for index, word in enumerate(words) if word.isdigit()]
            if places:
                words[random.choice(places)] = str(any_number(random))
        elif kind == "drop":
            del words[at : at + random.choice((1, 1, 3))]
        elif kind == "double":
            words[at:at] = words[at : at + 3] * random.choice((1, 1, 200))
        elif kind == "insert":
            words.insert(at, any_text(random))
        elif kind == "swap" and words:
            here, there = random.randrange(len(words)), random.randrange(len(words))
            words[here], words[there] = words[there], words[here]
        elif kind == "splice" and other:
            rest = _WORDS.findall(other)
            words[at:] = rest[random.randrange(len(rest) + 1) :]
    return "".join(words)
