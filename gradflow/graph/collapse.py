"""Collapsing: a graph of operations becomes one of modules that a person can read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from gradflow.graph.call_tree import CallTree, Part, build_call_tree
from gradflow.graph.contract import contract
from gradflow.graph.flow_graph import FlowGraph
from gradflow.graph.focus import Focus, depends_on_layer, find_focus, is_on_path, is_relevant
from gradflow.graph.outline import Cluster, Group, Outline, stretch

__all__ = ["collapse", "outline_for_reading"]

READABLE_GROUPS = 40
READABLE_HEIGHT = 17.0

_STACK_MINIMUM = 3
_LONG_RUN = 60
_DEEPEST_CLUSTER = 40
_CONTAINERS = frozenset({"", "Sequential", "ModuleList", "ModuleDict"})


@dataclass(frozen=True, slots=True)
class _Detail:
    """How much to show: modules on the path are opened down to ``depth``, longer runs shortened to ``run`` steps."""

    depth: int
    run: int


# from the least to the most; the last that stays readable is taken
_DETAILS = (_Detail(0, 1), _Detail(0, 3), _Detail(0, 7), *(_Detail(depth, 20) for depth in range(9)))


def collapse(flow: FlowGraph, *, depth: int | None = None) -> FlowGraph:
    """The same graph with modules as single nodes of kind ``"module"``.

    Parameters
    ----------
    flow
        The graph; it is not changed.
    depth
        Modules at this depth become one node per call, with all that ran inside: with 1, each child of the model.
        ``None`` chooses what to collapse so that the result is readable (some 40 nodes): the layer, the score, the
        cuts and what is next to them stay, runs of like modules become one node, what takes no part is left out.

    Returns
    -------
    FlowGraph
        Nodes keep the ids of the operations they stand for where that is one; a collapsed node's ``name`` is the
        qualified name of its module, its ``module`` the enclosing one, its ``size`` the number of operations, its shape
        and span those of its last operation. It has no cycles, since each call is a node of its own.

    Raises
    ------
    ValueError
        When ``depth`` is below 1.
    """
    if depth is None:
        return contract(outline_for_reading(flow))
    if depth < 1:
        raise ValueError(f"`depth` must be at least 1, not {depth}")
    tree = build_call_tree(flow)
    return contract(Outline(tree, Cluster(part=tree.root, items=tuple(_open_to(tree.root, depth)))))


def outline_for_reading(flow: FlowGraph, *, layer_name: str = "", also: Iterable[str] = ()) -> Outline:
    """The most detailed outline that a person can still read.

    The module ``layer_name`` is shown as one group; the nodes whose ids are in ``also`` stay visible.
    """
    tree = build_call_tree(flow)
    focus = find_focus(tree, layer_name, also)
    best: Outline | None = None
    for detail in _DETAILS:
        if detail.depth > tree.depth:
            break
        outline = Outline(tree, _Chooser(tree, focus, detail).root())
        if best is not None and (len(outline.groups) > READABLE_GROUPS or outline.height > READABLE_HEIGHT):
            break
        best = outline
    return best if best is not None else Outline(tree, Cluster(part=tree.root, items=()))


def _open_to(root: Part, depth: int) -> Iterator[Group]:
    """What remains when every module above ``depth`` is opened, in order of execution."""
    waiting = list(reversed(root.parts))
    while waiting:
        part = waiting.pop()
        if part.is_operation or part.depth >= depth:
            yield _single(part)
        else:
            waiting.extend(reversed(part.parts))


class _Chooser:
    """Chooses what is opened, what is merged and what is left out, at one level of detail."""

    def __init__(self, tree: CallTree, focus: Focus, detail: _Detail) -> None:
        self.tree = tree
        self.focus = focus
        self.detail = detail
        whole = (0, len(tree.order))
        self.has_layer = tree.count(depends_on_layer, *whole) > 0
        self.has_score = tree.flow.score in tree.position

    def root(self) -> Cluster:
        root = self._cluster(self.tree.root)
        if not self.has_layer or self.focus.start == 0:
            return root
        before = Group(kind="before", start=0, stop=self.focus.start, parts=_cover(self.tree.root, self.focus.start))
        return replace(root, items=(before, *root.items))

    def _cluster(self, part: Part) -> Cluster:
        shown = [each for each in part.parts if self._is_shown(each)]
        items: list[Cluster | Group] = []
        for is_focus, run in groupby(shown, key=self.focus.within):
            if is_focus:
                items.extend(self._focussed(each) for each in run)
            else:
                items.extend(self._shortened(list(self._steps(run))))
        return Cluster(part=part, items=tuple(items))

    def _is_shown(self, part: Part) -> bool:
        if self.has_layer and part.stop <= self.focus.start:
            return False
        relevant = self.tree.count(is_relevant, part.start, part.stop) > 0
        return relevant or not self.has_score or self.focus.within(part)

    def _is_context(self, part: Part) -> bool:
        return self.has_layer and not self.tree.count(depends_on_layer, part.start, part.stop)

    def _focussed(self, part: Part) -> Cluster | Group:
        if part.size == 1 or part in self.focus.layer_parts or part.depth > _DEEPEST_CLUSTER:
            return _single(self._innermost(part))
        return self._cluster(part)

    def _innermost(self, part: Part) -> Part:
        """The module itself that ran, of modules around a single operation; the target layer counts as one."""
        while part.size == 1 and part not in self.focus.layer_parts and part.parts and not part.parts[0].is_operation:
            part = part.parts[0]
        return part

    def _steps(self, run: Iterable[Part]) -> Iterator[Cluster | Group]:
        """What lies between two things to be shown: stretches of context, stacks of like modules, and single steps."""
        for is_context, parts in groupby(run, key=self._is_context):
            if is_context:
                context = list(parts)
                yield stretch("before", context) if len(context) > 1 else _single(context[0])
                continue
            for stack in _stacks(parts):
                if len(stack) >= _STACK_MINIMUM:
                    yield stretch("stack", stack)
                else:
                    yield from map(self._step, stack)

    def _step(self, part: Part) -> Cluster | Group:
        on_path = self.tree.count(is_on_path, part.start, part.stop) > 0
        # a ModuleList is never called itself: what it holds belongs to the module around it
        is_open = part.depth <= self.detail.depth or (not part.is_operation and not part.type_name)
        opened = on_path and part.size > 1 and is_open
        return self._cluster(part) if opened else _single(self._innermost(part))

    def _shortened(self, items: list[Cluster | Group]) -> Iterator[Cluster | Group]:
        """The first and last of a run that is too long, and one group for what lies between."""
        # of a loop of hundreds of steps, seven tell no more than three
        run = min(self.detail.run, 3) if len(items) > _LONG_RUN else self.detail.run
        excess = len(items) - run
        if excess <= 0:
            yield from items
            return
        head = (run - 1) // 2
        tail = head + excess + 1
        yield from items[:head]
        yield stretch("steps", [part for item in items[head:tail] for part in _parts(item)])
        yield from items[tail:]


def _parts(item: Cluster | Group) -> tuple[Part, ...]:
    return (item.part,) if isinstance(item, Cluster) else item.parts


def _single(part: Part) -> Group:
    return stretch("operation" if part.is_operation else "module", [part])


def _stacks(run: Iterable[Part]) -> Iterator[list[Part]]:
    """Splits a run of parts so that like modules which follow each other are together."""
    stack: list[Part] = []
    for part in run:
        if stack and not _alike(stack[-1], part):
            yield stack
            stack = []
        stack.append(part)
    if stack:
        yield stack


def _alike(one: Part, other: Part) -> bool:
    """Whether a reader takes two modules for the same: calls of one module, or numbered siblings of equal structure."""
    if one.is_operation or other.is_operation or one.type_name != other.type_name:
        return False
    if one.module == other.module:
        return True
    if one.signature != other.signature or _stem(one.module) != _stem(other.module):
        return False
    # containers have names that mean something to their author (layer2, layer3), unless they are numbers
    return one.type_name not in _CONTAINERS or one.module.rpartition(".")[2].isdigit()


def _stem(module: str) -> str:
    return module.rstrip("0123456789")


def _cover(root: Part, stop: int) -> tuple[Part, ...]:
    """The largest parts that together make up everything before ``stop``."""
    found: list[Part] = []
    part: Part | None = root
    while part is not None:
        found.extend(each for each in part.parts if each.stop <= stop)
        part = next((each for each in part.parts if each.start < stop < each.stop), None)
    return tuple(found)
