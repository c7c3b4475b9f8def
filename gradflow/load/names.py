"""The names a person may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["closest", "did_you_mean"]

_LONGEST = 200  # comparing takes the square of the length, and nobody mistypes so long a name


def closest(name: str, candidates: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """The candidates most like ``name``, best first.

    Compared are the whole names and, for dotted names and paths, their last components; a candidate that contains the
    name, or is contained in it, counts as close.
    """
    if len(name) > _LONGEST:
        return ()
    wanted = name.casefold()
    wanted_end = _last_component(wanted)

    def likeness(candidate: str) -> float:
        folded = candidate.casefold()
        end = _last_component(folded)
        ratio = difflib.SequenceMatcher(None, wanted, folded).ratio()
        end_ratio = 0.95 * difflib.SequenceMatcher(None, wanted_end, end).ratio()
        contained = len(wanted) >= 3 and (wanted in folded or (len(end) >= 3 and end in wanted))
        return max(ratio, end_ratio, 0.65 + 0.3 * ratio if contained else 0.0)

    ranked = sorted((-likeness(candidate), candidate) for candidate in set(candidates))
    return tuple(candidate for score, candidate in ranked[:count] if -score >= 0.6)


def did_you_mean(name: str, candidates: Iterable[str], count: int = 3) -> str:
    """``did you mean `resnet50` or `resnet18`?``, or an empty string when nothing is close."""
    names = [f"`{candidate}`" for candidate in closest(name, candidates, count)]
    if not names:
        return ""
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    return f"did you mean {listed}?"


def _last_component(name: str) -> str:
    return name.rstrip("./\\").replace("\\", "/").replace("/", ".").rpartition(".")[2]
