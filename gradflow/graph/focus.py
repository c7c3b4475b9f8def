"""What a picture of a graph must show, however much of the rest is collapsed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gradflow.graph.call_tree import CallTree, Part
from gradflow.graph.elements import Cut, Node

__all__ = ["Focus", "depends_on_layer", "find_focus", "is_on_path", "is_relevant", "reaches_score", "shown_cuts"]

_CUTS_SHOWN = 8
_EXITS_SHOWN = 4
_JOINS_SHOWN = 4


def is_on_path(node: Node) -> bool:
    """Whether the gradient from the score to the layer passes here."""
    return node.is_on_path


def depends_on_layer(node: Node) -> bool:
    """Whether the value depends on the layer, or is the layer's."""
    return node.depends_on_layer or node.is_layer


def reaches_score(node: Node) -> bool:
    """Whether the score depends on the value, or is it."""
    return node.reaches_score or node.is_score


def is_relevant(node: Node) -> bool:
    """Whether the node has to do with the layer or the score."""
    return reaches_score(node) or depends_on_layer(node) or bool(node.cut)


@dataclass(frozen=True, slots=True)
class Focus:
    """Places in the order of execution that stay visible, and parts of the tree that are shown whole.

    ``layer_parts`` are the calls of the target layer, when it is a module; ``start`` is where the layer begins: what
    ran before is context.
    """

    places: tuple[int, ...]
    layer_parts: tuple[Part, ...]
    start: int

    def within(self, part: Part) -> bool:
        """Whether anything to be shown lies in the part."""
        return any(part.start <= place < part.stop for place in self.places)


def find_focus(tree: CallTree, layer_name: str, also: Iterable[str] = ()) -> Focus:
    """The layer (first and last call), the score, the cuts, the joins of half-cut branches, exits from torch."""
    flow, position = tree.flow, tree.position
    layer = [position[node] for node in flow.layer if node in position]
    layer = layer[:1] + layer[-1:]
    parts = [part for place in dict.fromkeys(layer) if (part := _call_of(tree.root, layer_name, place)) is not None]
    cuts = [position[cut.node] for cut in shown_cuts(flow.cuts) if cut.node in position]
    exits = [
        place
        for place, node in enumerate(tree.order)
        if node.kind in ("exit", "re-entry") and node.depends_on_layer and reaches_score(node)
    ]
    joins = [
        position[branch.join]
        for branch in flow.branches
        if branch.join in position and len({path.carries_gradient for path in branch.paths}) == 2
    ]
    score = [position[flow.score]] if flow.score in position else []
    others = [position[node] for node in also if node in position]
    places = sorted({*layer, *others, *cuts, *exits[:_EXITS_SHOWN], *joins[:_JOINS_SHOWN], *score})
    starts = [part.start for part in parts] or layer or [0]
    return Focus(tuple(places), tuple(parts), min(starts))


def shown_cuts(cuts: tuple[Cut, ...]) -> tuple[Cut, ...]:
    """One cut for each place in the code, those first that must be mended, and not more than a picture can bear."""
    by_site: dict[object, Cut] = {}
    for cut in sorted(cuts, key=lambda cut: not cut.needed):
        site = (cut.cause, cut.span.path, cut.span.line) if cut.span is not None else (cut.cause, cut.operation)
        by_site.setdefault(site, cut)
    return tuple(by_site.values())[:_CUTS_SHOWN]


def _call_of(root: Part, module: str, place: int) -> Part | None:
    """The call of a module during which the operation at ``place`` ran."""
    part = root
    while part.module != module:
        inner = next((each for each in part.parts if each.start <= place < each.stop), None)
        if inner is None or inner.is_operation:
            return None
        part = inner
    return part if module else None
