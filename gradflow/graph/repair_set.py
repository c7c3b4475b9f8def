"""The smallest set of cuts that must be mended so that the gradient gets from the score to the layer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

__all__ = ["smallest_repair"]

# How many of the latest cuts are searched for the group of the next one; keeps thousands of cuts in a row linear.
_LOOK_BACK = 64


def smallest_repair(
    source_ids: Iterable[int],
    sink_id: int,
    inputs: Mapping[int, Sequence[int]],
    cost: Callable[[int, int], str | None],
) -> tuple[str, ...] | None:
    """Find the fewest cuts whose mending gives the gradient one way from the score to the layer.

    A 0-1 breadth-first search, in which an edge that carries gradient costs nothing and a cut costs one. Edges cut by
    the same cause (the operations of one ``no_grad`` region) bear the same cut id and cost one together. With such
    groups the exact problem is NP-hard (Hassin, Monnot and Segev, "Approximation algorithms and hardness results for
    labeled connectivity problems", 2007): what is found is then always enough, but a smaller set may exist where
    several groups recur along different ways. Where every id is on a single edge it is the smallest.

    Parameters
    ----------
    source_ids
        The operations that give the layer's output, one per call.
    sink_id
        The operation that gives the score.
    inputs
        For each operation, those that made its arguments.
    cost
        The id of the cut on the edge from a producer (first argument) to a consumer; ``None`` where gradient passes.

    Returns
    -------
    tuple of str or None
        Cut ids from the score towards the layer, empty when the gradient arrives already; ``None`` when the score does
        not depend on the layer at all.
    """
    sources = set(source_ids)
    way = _cheapest_way(sources, sink_id, inputs, cost)
    if way is None:
        return None
    needed = list(way)
    for cut in way if 1 < len(way) <= _LOOK_BACK else ():
        rest = [each for each in needed if each != cut]
        if _is_connected(sources, sink_id, inputs, cost, rest):
            needed = rest
    return tuple(needed)


class _Mended:
    """The cuts mended on the way from the score to an operation: the last one, and those before it."""

    __slots__ = ("before", "count", "cut")

    def __init__(self, cut: str, before: _Mended | None) -> None:
        self.cut = cut
        self.before = before
        self.count: int = before.count + 1 if before is not None else 1

    def __iter__(self) -> Iterator[str]:
        link: _Mended | None = self
        while link is not None:
            yield link.cut
            link = link.before


def _with(mended: _Mended | None, cut: str | None) -> _Mended | None:
    if cut is None or (mended is not None and cut in islice(mended, _LOOK_BACK)):
        return mended
    return _Mended(cut, mended)


def _cheapest_way(
    sources: Collection[int],
    sink: int,
    inputs: Mapping[int, Sequence[int]],
    cost: Callable[[int, int], str | None],
) -> tuple[str, ...] | None:
    best: dict[int, _Mended | None] = {sink: None}
    done: set[int] = set()
    waiting = deque([sink])
    while waiting:
        here = waiting.popleft()
        if here in done:
            continue
        done.add(here)
        mended = best[here]
        if here in sources:
            return tuple(dict.fromkeys(mended))[::-1] if mended is not None else ()
        for producer in inputs.get(here, ()):
            if producer in done:
                continue
            then = _with(mended, cost(producer, here))
            if producer not in best or _count(then) < _count(best[producer]):
                best[producer] = then
                if then is mended:
                    waiting.appendleft(producer)
                else:
                    waiting.append(producer)
    return None


def _count(mended: _Mended | None) -> int:
    return mended.count if mended is not None else 0


def _is_connected(
    sources: Collection[int],
    sink: int,
    inputs: Mapping[int, Sequence[int]],
    cost: Callable[[int, int], str | None],
    mended: Collection[str],
) -> bool:
    seen = {sink}
    waiting = [sink]
    while waiting:
        here = waiting.pop()
        if here in sources:
            return True
        for producer in inputs.get(here, ()):
            if producer in seen:
                continue
            cut = cost(producer, here)
            if cut is None or cut in mended:
                seen.add(producer)
                waiting.append(producer)
    return False
