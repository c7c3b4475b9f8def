"""How many paraphrases count, for each transformation: a number that may only rise."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.paraphrase.comparison import Comparison

FILE = Path(__file__).with_name("counted.txt")


def counted(results: Iterable[Comparison]) -> collections.Counter[str]:
    """The paraphrases of each transformation that keep what torch does, so that the answers can be compared."""
    return collections.Counter(each.transform for each in results if each.outcome in ("same", "differs"))


def least_counts(file: Path = FILE) -> Mapping[str, int]:
    """What the file says, a transformation and its number on each line."""
    lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    return {name: int(number) for name, number in filter(None, lines)}


def fewer(results: Iterable[Comparison], least: Mapping[str, int]) -> list[str]:
    """What is to be said of each transformation that counts less often than it did."""
    now = counted(results)
    return [
        f"{name}: {now[name]} paraphrases count, {number} did" for name, number in least.items() if now[name] < number
    ]
