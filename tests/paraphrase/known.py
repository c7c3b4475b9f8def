"""The pairs of program and transformation of which gradflow does not say the same yet.

Each line of ``known_differences.txt`` names one. What differs and is not listed fails; what is listed and no longer
differs must be taken out, so that the list only gets shorter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.paraphrase.comparison import Comparison

FILE = Path(__file__).with_name("known_differences.txt")


def known_differences(file: Path = FILE) -> frozenset[str]:
    """The listed pairs, as ``program transformation``."""
    lines = (line.partition("#")[0].split() for line in file.read_text(encoding="utf-8").splitlines())
    return frozenset(" ".join(words) for words in lines if words)


@dataclass(frozen=True)
class Balance:
    """How results stand to the list."""

    new: tuple[Comparison, ...]  # differ, and are not listed
    mended: tuple[str, ...]  # are listed, and say the same now


def balance(results: Iterable[Comparison], known: frozenset[str]) -> Balance:
    results = list(results)
    new = tuple(each for each in results if each.outcome == "differs" and each.pair not in known)
    mended = tuple(each.pair for each in results if each.outcome == "same" and each.pair in known)
    return Balance(new, mended)
