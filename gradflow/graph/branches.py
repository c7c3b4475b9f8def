"""Where the way from the layer to the score splits and comes together again: skips, parallel paths, gates, attention.

A join is an operation with several inputs on the way; its fork is its immediate dominator, the last operation that all
ways to it pass. Works on integers only, so that a million operations take seconds; whoever knows the nodes makes a
:class:`~gradflow.graph.elements.Branch` from the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gradflow.graph.branch_kind import PathSummary, branch_kind
from gradflow.graph.branch_region import Arm, Flow, Region, trace_region
from gradflow.graph.elements import BranchKind
from gradflow.torch_facts.operations.families import is_attention
from gradflow.torch_facts.operations.queries import has
from gradflow.torch_facts.operations.spelling import operation_of

__all__ = ["OperationView", "RawBranch", "RawPath", "find_branches"]

# More overlapping joins of one fork are a tangle (a recurrent cell of two states written out), not branches.
_MOST_OVERLAPPING_JOINS = 128
# Regions are walked smallest first, so this only ever leaves out the outermost of hundreds of nested ones.
_STEPS_PER_OPERATION = 64


class OperationView(NamedTuple):
    """An operation's name as torch names it (``conv2d``, ``add_``) and the qualified name of its module."""

    name: str
    module: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPath:
    """One way from a fork to a join: the operations strictly between, in order of execution.

    ``is_identity``: the value arrives unchanged but for layout, dtype or dropout. ``carries_gradient``: some way along
    this path has no cut. Of a concatenation each path lists only what it adds to those before it.
    """

    nodes: tuple[int, ...]
    is_identity: bool
    carries_gradient: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RawBranch:
    """A fork, a join and the ways between them, as operation ids; ``paths`` stand in the order of the join's arguments.

    ``module`` is the longest qualified name that the join and all paths have in common.
    """

    fork: int
    join: int
    kind: BranchKind
    paths: tuple[RawPath, ...]
    module: str


def find_branches(
    order: Sequence[int],
    inputs: Mapping[int, Sequence[int]],
    carries: Callable[[int, int], bool],
    view: Callable[[int], OperationView],
) -> tuple[RawBranch, ...]:
    """Find the regions in which the way from the layer to the score splits and comes together again.

    Left out as trivial: regions without any weighted or pooling operation (a layer norm, a GELU or a rotary embedding
    written out), the insides of attention, the inner sums of a longer sum, the inner concatenations of a dense block,
    products that are not gates unless one of their paths is cut, what begins at different calls of the layer and so has
    no fork, and tangles of more than a hundred overlapping joins.

    Parameters
    ----------
    order
        Ids of the operations that lie on a way from the layer to the score, in order of execution.
    inputs
        For each operation, the ids of those that made its arguments, in order; ids not in ``order`` are ignored.
    carries
        Whether the edge from a producer (first argument) to a consumer carries gradient.
    view
        Name and module of an operation.

    Returns
    -------
    tuple[RawBranch, ...]
        In order of execution, of the fork first, then of the join.
    """
    flow = Flow(order, inputs, lambda operation: view(operation).name)
    finder = _Finder(flow, carries, view)
    for fork, join in _candidates(flow):
        finder.visit(fork, join)
    return finder.branches()


def _candidates(flow: Flow) -> list[tuple[int, int]]:
    """All (fork, join) pairs worth a walk, smallest region first, the last join of a fork before its earlier ones."""
    by_fork: dict[int, list[int]] = {}
    for join in flow.joins():
        by_fork.setdefault(flow.dominator[join], []).append(join)
    by_fork.pop(0, None)  # the virtual source: different calls of the layer, no fork
    pairs = []
    for fork, joins in by_fork.items():
        concatenations = [join for join in joins if flow.family(join) == "cat"]
        rest = [join for join in joins if flow.family(join) != "cat"]
        if len(rest) > _MOST_OVERLAPPING_JOINS:
            rest.clear()
        if len(concatenations) > _MOST_OVERLAPPING_JOINS:
            del concatenations[:-1]  # holds all that the earlier ones gathered
        for siblings in filter(None, (concatenations, rest)):
            # an outer concatenation swallows the inner ones of its dense block, an outer sum those it is made of
            pairs += [(siblings[-1] - fork, fork, join) for join in reversed(siblings)]
    pairs.sort(key=lambda pair: (pair[0], pair[1]))
    return [(fork, join) for _, fork, join in pairs]


class _Finder:
    """Walks one region after another and remembers which joins are already told by a larger one."""

    def __init__(self, flow: Flow, carries: Callable[[int, int], bool], view: Callable[[int], OperationView]) -> None:
        self._flow = flow
        self._carries = carries
        self._view = view
        self._swallowed: set[int] = set()
        self._skips: set[int] = set()
        self._long: set[int] = set()
        self._found: list[tuple[int, int, RawBranch]] = []
        self._steps_left = _STEPS_PER_OPERATION * (len(flow.operations) + 1_000)

    def visit(self, fork: int, join: int) -> None:
        if join in self._swallowed or self._steps_left <= 0:
            return
        flow = self._flow
        region = trace_region(flow, fork, join, self._swallowed)
        self._steps_left -= region.step_count
        family = flow.family(join)
        if family == "cat":
            region.swallowed.update(
                node for node in region.nodes if flow.dominator[node] == fork and flow.family(node) == "cat"
            )
        summaries = [self._summary(arm, region) for arm in region.arms]
        kind = branch_kind(
            family,
            summaries,
            overlapping=region.overlapping,
            is_dense=bool(region.swallowed) and family == "cat",
            splits=has(flow.name(fork), "splits"),
            stacks=operation_of(flow.name(join)) == "stack",
            is_attention=family == "attention" and self._is_attention(join, region),
        )
        self._swallowed |= region.swallowed
        paths = self._paths(region, summaries)
        carried = {path.carries_gradient for path in paths}
        if kind is None or (kind == "other" and len(carried) == 1):
            return
        if kind in ("identity skip", "projection skip", "long skip"):
            self._skips.add(join)
        if kind == "long skip":
            self._long.add(join)
        branch = RawBranch(
            fork=flow.operations[fork],
            join=flow.operations[join],
            kind=kind,
            paths=paths,
            module=self._module(join, region),
        )
        self._found.append((fork, join, branch))

    def branches(self) -> tuple[RawBranch, ...]:
        """All found, in order; a chain of concatenations, each of the last one with something new, becomes one."""
        merged: list[tuple[int, int, RawBranch]] = []
        open_chain: dict[int, int] = {}
        for fork, join, branch in sorted(self._found, key=lambda entry: entry[:2]):
            place = open_chain.pop(fork, None) if _is_link(branch) else None
            if place is not None:
                merged[place] = (merged[place][0], join, _linked(merged[place][2], branch))
            else:
                place = len(merged)
                merged.append((fork, join, branch))
            if _is_link(branch):
                open_chain[join] = place
        return tuple(branch for _, _, branch in merged)

    def _summary(self, arm: Arm, region: Region) -> PathSummary:
        flow = self._flow
        names = [flow.name(node) for node in arm.nodes]
        return PathSummary.of(
            names,
            gated=flow.ends_in_gate(arm.last, region.fork),
            inner_skip_count=sum(1 for node in arm.nodes if node in self._skips),
            holds_long_skip=any(node in self._long for node in arm.nodes),
        )

    def _paths(self, region: Region, summaries: list[PathSummary]) -> tuple[RawPath, ...]:
        operations = self._flow.operations
        arriving = region.arriving(self._flow, self._carries)
        return tuple(
            RawPath(
                nodes=tuple(operations[node] for node in sorted((*arm.nodes, *arm.tail))),
                is_identity=summary.is_identity,
                carries_gradient=arrives,
            )
            for arm, summary, arrives in zip(region.arms, summaries, arriving, strict=True)
        )

    def _is_attention(self, join: int, region: Region) -> bool:
        flow = self._flow
        return is_attention(flow.name(join)) or bool(region.swallowed) or flow.leads_to_softmax(join)

    def _module(self, join: int, region: Region) -> str:
        operations = self._flow.operations
        common = self._view(operations[join]).module.split(".")
        for node in region.nodes:
            if not common:
                break
            parts = self._view(operations[node]).module.split(".")
            length = 0
            while length < len(common) and length < len(parts) and common[length] == parts[length]:
                length += 1
            del common[length:]
        return ".".join(common)


def _is_link(branch: RawBranch) -> bool:
    return branch.kind == "dense concatenation" and any(path.is_identity and not path.nodes for path in branch.paths)


def _linked(first: RawBranch, second: RawBranch) -> RawBranch:
    prefix = []
    for one, other in zip(first.module.split("."), second.module.split("."), strict=False):
        if one != other:
            break
        prefix.append(one)
    added = tuple(path for path in second.paths if path.nodes)
    return RawBranch(
        fork=first.fork, join=second.join, kind=first.kind, paths=(*first.paths, *added), module=".".join(prefix)
    )
