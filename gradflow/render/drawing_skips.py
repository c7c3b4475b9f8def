"""Which links of a drawing are skips, and which boxes hide some."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from gradflow.graph.elements import Branch, BranchPath
from gradflow.graph.outline import Link, Outline
from gradflow.render.drawing_style import LineKind

__all__ = ["Skips"]

_KINDS = ("identity skip", "projection skip", "long skip")


class Skips:
    """The skip branches of a graph, as far as its outline shows them.

    ``hidden`` counts, for each group of the outline, the skips of which nothing else is to be seen.
    """

    def __init__(self, outline: Outline) -> None:
        self.hidden: Counter[int] = Counter()
        self._outline = outline
        self._lines: dict[tuple[int, int], tuple[Branch, BranchPath]] = {}
        for branch in outline.tree.flow.branches:
            if branch.kind in _KINDS:
                self._place(branch)

    def label(self, link: Link, kind: LineKind) -> str | None:
        """What to write at a link that is part of a skip (maybe nothing); ``None`` for all others."""
        found = self._lines.get((link.source, link.target))
        if found is None:
            return None
        branch, path = found
        name = "skip" if branch.kind == "identity skip" else branch.kind
        if not path.carries_gradient and any(other.carries_gradient for other in branch.paths):
            return f"✂ {name} carries no gradient" if kind == "cut" else f"{name} without gradient"
        if self._outline.group_of(branch.fork) != link.source or kind == "cut":
            return ""
        if path.gradient_share is None or kind != "gradient":
            return f"↷ {name}"
        return f"↷ {name} {path.gradient_share:.0%} of the gradient"

    def _place(self, branch: Branch) -> None:
        fork, join = self._outline.group_of(branch.fork), self._outline.group_of(branch.join)
        if fork is None or join is None or not branch.paths:
            return
        ways = [self._stops(path, fork, join) for path in branch.paths]
        skip = min(range(len(ways)), key=lambda way: (not branch.paths[way].is_identity, len(ways[way])))
        if all(way == ways[skip] for way in ways):
            self.hidden[join] += 1
            return
        for ends in pairwise(ways[skip]):
            self._lines.setdefault(ends, (branch, branch.paths[skip]))

    def _stops(self, path: BranchPath, fork: int, join: int) -> list[int]:
        """The groups that one path of a branch touches, fork and join included."""
        stops = [fork]
        for node in path.nodes:
            place = self._outline.group_of(node)
            if place is not None and place != stops[-1]:
                stops.append(place)
        return stops if stops[-1] == join else [*stops, join]
