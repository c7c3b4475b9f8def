"""What a drawing of a report shows, before it is put into any language: boxes, lines, frames, and their words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.graph.collapse import outline_for_reading
from gradflow.graph.elements import Cut, Node
from gradflow.graph.outline import Cluster, Group, Link, Outline
from gradflow.render.drawing_skips import Skips
from gradflow.render.drawing_style import LineKind, Role
from gradflow.render.drawing_text import shape_and_type
from gradflow.render.drawing_words import (
    cut_lines,
    finding_lines,
    heading,
    layer_lines,
    relative,
    score_lines,
    tooltip,
    torch_lines,
)
from gradflow.render.words import plural
from gradflow.report import Report

__all__ = ["Box", "Frame", "Line", "Scene", "build_scene"]

_INPUTS_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A group as it is seen: its name and class on the first line, with ``marks``; then what is special about it."""

    id: str
    role: Role
    title: str
    type_name: str = ""
    marks: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    tooltip: str = ""
    is_operation: bool = False
    is_stack: bool = False
    is_frozen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A link as it is seen, from the box that made the data to the box that read it."""

    source: str
    target: str
    kind: LineKind
    label: str = ""
    is_skip: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A module with its inside."""

    id: str
    title: str
    type_name: str
    items: tuple[Frame | Box, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything that is drawn, in order of execution."""

    items: tuple[Frame | Box, ...]
    lines: tuple[Line, ...]
    left_out_count: int = 0

    def boxes(self) -> Iterator[Box]:
        """All boxes, also those in frames."""
        waiting = list(reversed(self.items))
        while waiting:
            item = waiting.pop()
            if isinstance(item, Frame):
                waiting.extend(reversed(item.items))
            else:
                yield item


def build_scene(report: Report) -> Scene:
    """Choose what to show of a report's graph and put it into words."""
    layer_name = report.target.name if report.target.kind == "layer" else ""
    findings = _findings(report)
    outline = outline_for_reading(report.flow, layer_name=layer_name, also=findings)
    return _SceneBuilder(report, outline, findings).scene()


def _findings(report: Report) -> dict[str, list[Diagnostic]]:
    """The operations at which something was found that is no cut, such as where a gradient becomes zero."""
    found: dict[str, list[Diagnostic]] = {}
    cut_at = {cut.span for cut in report.flow.cuts}
    for diagnostic in report.diagnostics:
        if diagnostic.location is None or diagnostic.location in cut_at:
            continue
        here = [
            node.id
            for node in report.flow
            if node.span == diagnostic.location and node.module == diagnostic.module and not node.is_score
        ]
        if here:
            found.setdefault(here[-1], []).append(diagnostic)
    return found


class _SceneBuilder:
    def __init__(self, report: Report, outline: Outline, findings: Mapping[str, Sequence[Diagnostic]]) -> None:
        self.report = report
        self.outline = outline
        self.flow = report.flow
        self.places = iter(range(len(outline.groups)))
        self.findings = findings
        must_mend = [cut for cut in self.flow.cuts if cut.needed]
        self.is_spare = {cut.node for cut in self.flow.cuts if must_mend and not cut.needed}
        self.cuts: dict[int, list[Cut]] = {}
        for cut in self.flow.cuts:
            place = outline.group_of(cut.node)
            if place is not None:
                self.cuts.setdefault(place, []).append(cut)
        self.skips = Skips(outline)

    def scene(self) -> Scene:
        inside = self._items(self.outline.root)
        lines = tuple(self._line(link) for link in self.outline.links)
        inputs, input_lines = self._inputs()
        alone = () if self.flow.layer else (self._missing_layer(),)
        items = (*inputs, *inside, *alone)
        left_out = self.outline.left_out_count + self.flow.omitted_count
        return Scene(items=items, lines=(*input_lines, *lines), left_out_count=left_out)

    def _items(self, cluster: Cluster) -> tuple[Frame | Box, ...]:
        module = cluster.part.module
        return tuple(
            self._frame(item, module) if isinstance(item, Cluster) else self._box(next(self.places), item, module)
            for item in cluster.items
        )

    def _frame(self, cluster: Cluster, enclosing: str) -> Frame:
        part = cluster.part
        items = self._items(cluster)
        title = relative(part.module, enclosing) + (f" · call {part.call}" if part.call > 1 else "")
        if len(items) == 1 and isinstance(items[0], Frame):  # a frame around one frame says no more than the inner one
            return replace(items[0], title=f"{title}.{items[0].title}")
        return Frame(id=f"{part.module}@{part.start}", title=title, type_name=part.type_name, items=items)

    def _role(self, place: int, held: tuple[Node, ...]) -> Role:
        if place in self.cuts:
            return "cut"
        if any(node.is_layer for node in held):
            return "layer"
        if any(node.is_score for node in held):
            return "score"
        if any(node.id in self.findings for node in held):
            return "finding"
        on_path = [node for node in held if node.is_on_path]
        if on_path:
            return "path" if any(node.id in self.outline.with_gradient for node in on_path) else "idle"
        if any(node.depends_on_layer for node in held):
            return "lost" if any(node.reaches_score for node in held) else "unused"
        return "before"

    def _box(self, place: int, group: Group, enclosing: str) -> Box:
        held = self.outline.nodes(group)
        role = self._role(place, held)
        title, type_name = heading(group, held, enclosing)
        cuts = self.cuts.get(place, [])
        lines = [
            *layer_lines(self.report.target, held),
            *cut_lines(cuts, is_spare=all(cut.node in self.is_spare for cut in cuts)),
            *finding_lines(finding for node in held for finding in self.findings.get(node.id, ())),
            *torch_lines(held),
            *score_lines(self.report, held),
        ]
        if role == "score":
            title, type_name = self.report.score.description or "score", self.report.score.class_name
        frozen, total = self.outline.frozen_counts[place]
        marks = []
        if self.skips.hidden[place]:
            marks.append(f"↷ {plural(self.skips.hidden[place], 'skip')}")
        if frozen:
            marks.append("❄ frozen" if frozen == total else "❄ partly frozen")
        return Box(
            id=held[0].id,
            role=role,
            title=title,
            type_name=type_name,
            marks=tuple(marks),
            lines=tuple(lines),
            tooltip=tooltip(group, held),
            is_operation=group.kind == "operation",
            is_stack=group.kind == "stack",
            is_frozen=bool(frozen),
        )

    def _line(self, link: Link) -> Line:
        source, target = self.outline.groups[link.source], self.outline.groups[link.target]
        kind = self._line_kind(link)
        label = self.skips.label(link, kind)
        return Line(
            source=self.outline.nodes(source)[0].id,
            target=self.outline.nodes(target)[0].id,
            kind=kind,
            label=label or ("✂ gradient stops" if kind == "cut" else ""),
            is_skip=label is not None,
        )

    def _line_kind(self, link: Link) -> LineKind:
        ends = [(self.flow[start], self.flow[stop]) for start, stop in link.ends]
        arrives = link.carries_gradient and any(stop in self.outline.with_gradient for _, stop in link.ends)
        if link.is_cut:
            return "cut"
        if any((a.is_on_path or a.is_layer) and b.is_on_path for a, b in ends):
            return "gradient" if arrives else "idle"
        if arrives:
            return "stray"
        if any((a.depends_on_layer or a.is_layer) and b.depends_on_layer for a, b in ends):
            return "data"
        return "context"

    def _inputs(self) -> tuple[tuple[Box, ...], tuple[Line, ...]]:
        leaves = [
            node
            for node in self.flow.nodes
            if node.kind == "input" and node.id not in self.outline.tree.position and self.outline.readers(node.id)
        ]
        ids = {leaf.id: leaf.id for leaf in leaves}
        if len(leaves) > _INPUTS_SHOWN:
            boxes = [Box(id=leaves[0].id, role="input", title=plural(len(leaves), "input"))]
            ids = dict.fromkeys(ids, leaves[0].id)
        else:
            boxes = [
                Box(
                    id=leaf.id,
                    role="input",
                    title=f"input {leaf.name}",
                    type_name=shape_and_type(leaf),
                    tooltip=leaf.name,
                )
                for leaf in leaves
            ]
        pairs = dict.fromkeys((ids[leaf.id], place) for leaf in leaves for place in self.outline.readers(leaf.id))
        first_ids = [self.outline.nodes(group)[0].id for group in self.outline.groups]
        return tuple(boxes), tuple(Line(source=one, target=first_ids[place], kind="context") for one, place in pairs)

    def _missing_layer(self) -> Box:
        """The layer on its own: nothing leads to it and nothing leads away."""
        target = self.report.target
        return Box(
            id="layer that did not run",
            role="missing",
            title=target.name,
            type_name=target.type_name,
            lines=(f"target {target.kind}: took no part in this run",),
        )
