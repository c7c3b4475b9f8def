"""One region between a fork and a join: which operations lie on each of its arms, and over which the gradient comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from gradflow.graph.dominators import immediate_dominators
from gradflow.torch_facts.operations.families import is_weight_free, is_weighted, join_family
from gradflow.torch_facts.operations.queries import has

__all__ = ["Arm", "Flow", "Region", "trace_region"]

_MOST_ARMS_OF_A_SUM = 64
_MOST_ARMS_LISTED_IN_FULL = 8
_GLUE_LENGTH = 16


class Flow:
    """The operations on the way, renumbered 1 .. n in order of execution; 0 is a virtual source before all of them."""

    def __init__(
        self, order: Sequence[int], inputs: Mapping[int, Sequence[int]], name_of: Callable[[int], str]
    ) -> None:
        self.operations: list[int] = [-1]
        self._names: list[str] = [""]
        self.producers: list[list[int]] = [[]]
        self.consumer_count = [0]
        self._consumer = [0]
        number: dict[int, int] = {}
        on_way = set(order)
        for operation in order:
            before = [each for each in inputs.get(operation, ()) if each in on_way and each != operation]
            found = [number[each] for each in before if each in number]
            name = name_of(operation)
            if before and (not found or has(name, "makes")):
                continue  # made from nothing but shapes: no value of the layer is in it
            place = number[operation] = len(self.operations)
            self.operations.append(operation)
            self._names.append(name)
            self.producers.append(found or [0])
            self.consumer_count.append(0)
            self._consumer.append(0)
            for producer in set(found):
                self.consumer_count[producer] += 1
                self._consumer[producer] = place
        self.dominator = immediate_dominators(len(self.operations), self.producers)

    def name(self, node: int) -> str:
        """The operation's name as torch names it."""
        return self._names[node]

    def family(self, node: int) -> str:
        """How the operation brings its inputs together."""
        return join_family(self.name(node))

    def is_join(self, node: int) -> bool:
        """Whether several of its arguments lie on the way."""
        return len(self.producers[node]) > 1

    def joins(self) -> Iterator[int]:
        """All joins in order of execution."""
        return (node for node in range(1, len(self.operations)) if self.is_join(node))

    def ends_in_gate(self, last: int, fork: int) -> bool:
        """Whether what comes out of ``last`` is a gate: a sigmoid or the like, then at most glue."""
        node = last
        for _ in range(_GLUE_LENGTH):
            if node <= fork:
                return False
            name = self.name(node)
            if has(name, "gate", "self-gate"):
                return True
            if has(name, "activation") or is_weighted(name) or self.is_join(node):
                return False
            node = self.producers[node][0]
        return False

    def leads_to_softmax(self, node: int) -> bool:
        """Whether a softmax follows, after at most glue."""
        for _ in range(_GLUE_LENGTH):
            if self.consumer_count[node] != 1:
                return False
            node = self._consumer[node]
            name = self.name(node)
            if has(name, "shares"):
                return True
            if not is_weight_free(name) or self.is_join(node):
                return False
        return False


@dataclass(slots=True, kw_only=True)
class Arm:
    """One way into the join.

    ``last`` is its last operation, the fork itself on an empty way; ``tail`` what then follows of the join's own inner
    operations (the inner sums of a longer sum); ``nodes`` what lies between the fork and ``tail``.
    """

    last: int
    tail: tuple[int, ...]
    nodes: list[int] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Region:
    """What lies between a fork and a join. ``overlapping``: an arm runs over part of another one."""

    fork: int
    join: int
    arms: list[Arm]
    nodes: list[int]
    swallowed: set[int]
    overlapping: bool
    step_count: int

    def arriving(self, flow: Flow, carries: Callable[[int, int], bool]) -> list[bool]:
        """For each arm, whether a gradient comes along it all the way from the join to the fork."""
        operations = flow.operations
        reached = {self.fork: True}
        for node in self.nodes:
            reached[node] = any(
                reached.get(before, False) and carries(operations[before], operations[node])
                for before in flow.producers[node]
            )
        arriving = []
        for arm in self.arms:
            way = (arm.last, *arm.tail, self.join)
            arriving.append(
                reached.get(arm.last, False) and all(carries(operations[a], operations[b]) for a, b in pairwise(way))
            )
        return arriving


def trace_region(flow: Flow, fork: int, join: int, told: set[int]) -> Region:
    """Walk back from a join to its fork.

    The inner sums of a sum and the inner products of an attention are made part of the join, as long as nothing else
    reads them; these are the region's ``swallowed`` joins. Joins in ``told`` belong to another region already.
    """
    arms, swallowed = _arms(flow, fork, join, told)
    family = flow.family(join)
    taken: dict[int, int] = {}
    overlapping = False
    step_count = 0
    for number, arm in sorted(enumerate(arms), key=lambda entry: entry[1].last):
        met = _walk(flow, fork, arm, taken, number)
        overlapping |= met
        step_count += len(arm.nodes) + 1
    nodes = sorted(taken)
    if overlapping and family != "cat" and len(arms) <= _MOST_ARMS_LISTED_IN_FULL:
        for arm in arms:
            arm.nodes.clear()
            _walk(flow, fork, arm, {}, 0)
            step_count += len(arm.nodes)
    inner = {node for arm in arms for node in arm.tail}
    step_count += sum(len(arm.tail) for arm in arms)
    return Region(
        fork=fork, join=join, arms=arms, nodes=sorted(inner.union(nodes)), swallowed=swallowed, overlapping=overlapping,
        step_count=step_count,
    )  # fmt: skip


def _walk(flow: Flow, fork: int, arm: Arm, taken: dict[int, int], number: int) -> bool:
    """Collect what leads to an arm and is not taken yet; whether something was taken by another arm."""
    met = False
    waiting = [arm.last]
    while waiting:
        node = waiting.pop()
        if node == fork:
            continue
        if node in taken:
            met |= taken[node] != number
            continue
        taken[node] = number
        arm.nodes.append(node)
        waiting += flow.producers[node]
    return met


def _arms(flow: Flow, fork: int, join: int, told: set[int]) -> tuple[list[Arm], set[int]]:
    family = flow.family(join)
    swallowed: set[int] = set()
    arms: list[Arm] = []
    waiting = [Arm(last=before, tail=()) for before in reversed(flow.producers[join])]
    while waiting:
        arm = waiting.pop()
        inner: tuple[int, ...] = ()
        if len(arms) + len(waiting) < _MOST_ARMS_OF_A_SUM:
            if family == "add":
                inner = _inner_sum(flow, fork, arm.last)
            elif family == "attention":
                inner = _inner_product(flow, fork, arm.last)
        if not inner or inner[0] in told:
            arms.append(arm)
            continue
        swallowed.add(inner[0])
        tail = (*inner, *arm.tail)
        waiting += [Arm(last=before, tail=tail) for before in reversed(flow.producers[inner[0]])]
    return arms, swallowed


def _inner_sum(flow: Flow, fork: int, node: int) -> tuple[int, ...]:
    if node > fork and flow.is_join(node) and flow.dominator[node] == fork and flow.consumer_count[node] == 1:
        return (node,) if flow.family(node) == "add" else ()
    return ()


def _inner_product(flow: Flow, fork: int, node: int) -> tuple[int, ...]:
    """The way from the product of queries and keys over the softmax to ``node``; empty when there is none."""
    way: list[int] = []
    while node > fork and flow.consumer_count[node] == 1 and len(way) < _GLUE_LENGTH:
        way.append(node)
        if flow.is_join(node):
            return tuple(reversed(way)) if flow.family(node) == "attention" else ()
        if not is_weight_free(flow.name(node)):
            return ()
        node = flow.producers[node][0]
    return ()
