"""What ``functools.lru_cache`` remembers of a function: it can only be emptied as a whole."""

from __future__ import annotations

import gc
from typing import Any

from gradflow.attributes import attributes_of
from gradflow.record.state.kept.memos import MOST_ENTRIES
from gradflow.record.state.kept.of_runs import OfRuns

__all__ = ["Cache"]


class Cache:
    """One such function.

    Attributes
    ----------
    is_left
        Whether something that a run has made, or may have, is still remembered.
    """

    __slots__ = ("_function", "_kind", "_misses", "_was_empty", "is_left")

    def __init__(self, function: Any) -> None:
        self.is_left = False
        self._function = function
        self._kind: Any = type(function)
        found = self._kind.cache_info(function)
        self._was_empty = not found.currsize
        self._misses = found.misses

    @property
    def name(self) -> str:
        """The function, as it is defined."""
        return str(attributes_of(self._function)["__wrapped__"].__qualname__)

    def restore(self, runs: OfRuns) -> None:
        """Empty it, where nothing was remembered before and all that is now was made by the runs."""
        if self._kind.cache_info(self._function).misses == self._misses:
            return
        try:
            results = self._results()
        except RuntimeError:  # another thread has something remembered meanwhile
            results = None
        if results is None:
            self.is_left = True
        elif self._was_empty and results and all(map(runs.left, results)):
            self._kind.cache_clear(self._function)
        elif any(map(runs.left, results)):
            self.is_left = True
        now = self._kind.cache_info(self._function)
        self._misses, self._was_empty = now.misses, not now.currsize

    def _results(self) -> list[Any] | None:
        """What is remembered, as the garbage collector sees it; nothing where that is too much or cannot be told."""
        info = self._kind.cache_info(self._function)
        if not info.currsize:
            return []
        if info.currsize > MOST_ENTRIES:
            return None
        referents = gc.get_referents(self._function)
        if info.maxsize is None:
            attributes = attributes_of(self._function)
            caches = [one for one in referents if type(one) is dict and one is not attributes]
            is_it = len(caches) == 1 and len(caches[0]) == info.currsize
            return _values(caches[0]) if is_it else None
        # of a cache with a bound: its own class, then of each link the key, the result and the class of links
        links, rest = referents[1 : 1 + 3 * info.currsize], referents[1 + 3 * info.currsize :]
        kinds = links[2::3]
        if not (rest and type(rest[0]) is dict and len(rest[0]) == info.currsize == len(kinds)):
            return None
        is_known = all(kind is kinds[0] for kind in (*kinds, *map(type, _values(rest[0]))))
        return links[1::3] if is_known else None


def _values(cache: dict[Any, Any]) -> list[Any]:
    return list(dict.values(cache))
