"""The words in and on the boxes of a drawing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.graph.contract import group_name
from gradflow.graph.elements import Cut, Node
from gradflow.graph.focus import shown_cuts
from gradflow.graph.outline import Group
from gradflow.render.drawing_text import file_line, shape_and_type
from gradflow.render.words import number, plural
from gradflow.report import Report, Target
from gradflow.torch_facts.operations.writing import written

__all__ = ["cut_lines", "finding_lines", "heading", "layer_lines", "relative", "score_lines", "tooltip", "torch_lines"]

_TYPES_NAMED = 4


def relative(name: str, enclosing: str) -> str:
    """A qualified name without the module whose frame it stands in."""
    return name.removeprefix(f"{enclosing}.") if enclosing else name


def heading(group: Group, held: Sequence[Node], enclosing: str) -> tuple[str, str]:
    """The first line of a box: what stands in bold, and what kind of thing it is."""
    first, last = group.parts[0], group.parts[-1]
    match group.kind:
        case "operation":
            node = held[0]
            return (relative(node.name, enclosing), node.kind) if node.kind != "operation" else (written(node.name), "")
        case "module":
            call = f" · call {first.call}" if first.call > 1 and first.size > 1 else ""
            return f"{relative(first.module, enclosing)}{call}", first.type_name
        case "stack" if first.module == last.module:
            return relative(first.module, enclosing), f"{first.type_name}, {plural(len(group.parts), 'call')}"
        case "stack":
            return _ends(group, enclosing), f"{len(group.parts):,} × {first.type_name}"
        case "before":
            return _ends(group, enclosing), f"{plural(group.size, 'operation')} before"
        case "steps":
            return _ends(group, enclosing), _steps_text(group)


def layer_lines(target: Target, held: Iterable[Node]) -> list[str]:
    """Says that this is what the gradient was asked of."""
    layer = [node for node in held if node.is_layer]
    if not layer:
        return []
    count = f", {len(layer):,} calls" if len(layer) > 1 else ""
    return [f"target {target.kind}{target.slice}{count}  {shape_and_type(layer[-1])}".rstrip()]


def cut_lines(cuts: Sequence[Cut], *, is_spare: bool) -> list[str]:
    """Cause and place of every cut in a box; ``is_spare`` when other cuts are those that must be mended."""
    lines = []
    for cut in shown_cuts(tuple(cuts)):
        lines.append(f"✂ {cut.cause}" + (f"  {file_line(cut.span)}" if cut.span is not None else ""))
        if cut.region_span is not None:
            lines.append(f"gradient recording was switched off at {file_line(cut.region_span)}")
    if len(cuts) > 1:
        lines.append(f"{len(cuts):,} cuts here")
    if cuts and is_spare:
        lines.append("need not be mended if the others are")
    return lines


def finding_lines(findings: Iterable[Diagnostic]) -> list[str]:
    """Name and place of what was found at a box besides cuts."""
    return [
        f"✗ {finding.name}" + (f"  {file_line(finding.location)}" if finding.location is not None else "")
        for finding in findings
    ]


def torch_lines(held: Sequence[Node]) -> list[str]:
    """Says that a value leaves torch here, or comes back."""
    kinds = {node.kind for node in held}
    lines = ["a value leaves torch"] if "exit" in kinds else []
    return [*lines, "a value comes back into torch"] if "re-entry" in kinds else lines


def score_lines(report: Report, held: Iterable[Node]) -> list[str]:
    """Says that this is the score, and its value."""
    if not any(node.is_score for node in held):
        return []
    value = report.score.value
    return ["the score" if value is None else f"the score = {number(value)}"]


def tooltip(group: Group, held: Sequence[Node]) -> str:
    """What is worth knowing and does not fit: full names, shape and dtype, the backward node, the line of code."""
    last = held[-1]
    types = list(dict.fromkeys(part.type_name for part in group.parts if part.type_name))
    shown_types = f" ({', '.join(types[:_TYPES_NAMED])}{', …' if len(types) > _TYPES_NAMED else ''})" if types else ""
    name = group_name(group) or "the model itself"
    if group.kind == "operation":
        lines = [f"{last.name} in {name}"]
    else:
        lines = [f"{name}{shown_types}", plural(group.size, "operation")]
    output = ", ".join(text for text in (shape_and_type(last), last.grad_fn) if text)
    if output:
        lines.append(f"output {output}")
    if last.span is not None:
        lines.append(file_line(last.span))
    return "\n".join(lines)


def _ends(group: Group, enclosing: str) -> str:
    """Names of the first and the last part; operations of the enclosing module itself have none."""
    ends = (group.parts[0], group.parts[-1])
    names = [
        "" if part.is_operation and part.module == enclosing else relative(part.module, enclosing) for part in ends
    ]
    if names[0] == names[1]:
        return names[0] or "…"
    return " … ".join(names).strip()


def _steps_text(group: Group) -> str:
    """How many operations; in a loop, also how often its module ran."""
    calls = Counter(part.module for part in group.parts if not part.is_operation)
    module, count = max(calls.items(), key=lambda item: item[1], default=("", 0))
    ran = f", {plural(count, 'call')} of {module.rpartition('.')[2]}" if count > 1 else ""
    return f"{plural(group.size, 'operation')}{ran}"
