"""The way from the score back to the layer, short enough for a person to take in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby

from gradflow.diagnose.diagnostic import Diagnostic, PathStep
from gradflow.diagnose.path_step import step_of
from gradflow.render.words import plural, shape_text
from gradflow.report import Report
from gradflow.source_place import place
from gradflow.torch_facts.operations.writing import written

__all__ = ["PathRow", "path_rows", "path_steps", "short_path"]

MAX_ROWS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRow:
    """A line of the path as it is shown.

    ``what`` is the module's class, or the operation; ``carries`` tells whether the gradient gets here from the
    score; ``kind`` ``"gap"`` stands for steps left out. ``note`` is what is to be said of a layer behind a cut that
    other ways reach.
    """

    kind: str
    label: str
    what: str = ""
    shape: str = ""
    place: str = ""
    note: str = ""
    carries: bool = True


def path_steps(diagnostic: Diagnostic | None, report: Report) -> tuple[PathStep, ...]:
    """The steps of the diagnostic, or those of the report's graph where it has none; empty when there is no path.

    The graph of a watched program is that of its first finding: it says nothing about the others.
    """
    if diagnostic is not None and diagnostic.path:
        return diagnostic.path
    if diagnostic is not None and report.environment.watched and diagnostic not in report.diagnostics[:1]:
        return ()
    nodes = report.flow.path()
    return tuple(step_of(node, score=report.score.description, target=report.target.name) for node in nodes)


def short_path(steps: tuple[PathStep, ...], most: int = MAX_ROWS) -> tuple[PathStep | int, ...]:
    """At most about ``most`` steps: steps of one module are taken together, then the middle is left out.

    A number stands for that many steps left out. The score, the layer and every cut always stay.
    """
    merged = steps
    for depth in range(_depth(steps), 0, -1):
        merged = _merge(steps, depth)
        if len(merged) <= most:
            break
    return _leave_out(merged, most)


def _depth(steps: tuple[PathStep, ...]) -> int:
    return max((step.module.count(".") + 1 for step in steps if step.module), default=1)


def _merge(steps: tuple[PathStep, ...], depth: int) -> tuple[PathStep, ...]:
    """Takes neighbouring steps together that lie in the same module ``depth`` levels down."""

    def group(numbered: tuple[int, PathStep]) -> tuple[str, int]:
        number, step = numbered
        if step.kind != "step" or not step.module:
            return "", number
        return ".".join(step.module.split(".")[:depth]), -1

    merged = []
    for (module, _), members in groupby(enumerate(steps), key=group):
        together = [step for _, step in members]
        first = together[0]
        # the step nearest to the score made the module's output, so its shape is the module's
        merged.append(
            replace(first, label=module, module=module, operation="") if module and len(together) > 1 else first
        )
    return tuple(merged)


def _leave_out(steps: tuple[PathStep, ...], most: int) -> tuple[PathStep | int, ...]:
    if len(steps) <= most:
        return steps
    last = len(steps) - 1
    kept = {0, last} | {index for index, step in enumerate(steps) if step.kind != "step"}
    kept |= {near for index in list(kept) for near in (index - 1, index + 1) if 0 <= near <= last and len(kept) < most}
    for index in range(last):
        if len(kept) >= most - 1:
            break
        kept.add(index)
    shown: list[PathStep | int] = []
    for index, step in enumerate(steps):
        if index in kept or (index - 1 in kept and index + 1 in kept):
            shown.append(step)
        elif shown and isinstance(shown[-1], int):
            shown[-1] += 1
        else:
            shown.append(1)
    return tuple(shown)


def path_rows(steps: tuple[PathStep, ...], report: Report, most: int = MAX_ROWS) -> tuple[PathRow, ...]:
    """The path as rows of a table, from the score to the layer, with shapes, and places where it is cut."""
    types = dict(report.flow.modules)
    rows = []
    carries = True
    for step in short_path(steps, most):
        if isinstance(step, int):
            rows.append(PathRow(kind="gap", label=plural(step, "more step"), carries=carries))
            continue
        # the cut may lie within the layer itself, so that no step before it shows one
        is_cut_off = not carries
        if step.kind == "cut" or (step.kind == "layer" and report.verdict in ("broken", "unused", "error")):
            carries = False
        if step.kind == "layer":
            carries = carries or step.is_reached
        rows.append(
            PathRow(
                kind=step.kind,
                label=step.label,
                what=_what(step, types, report),
                shape=shape_text(step.shape),
                place=place(step.span) if step.kind == "cut" and step.span is not None else "",
                note="reached by other ways" if is_cut_off and carries else "",
                carries=carries,
            )
        )
    return tuple(rows)


def _what(step: PathStep, types: dict[str, str], report: Report) -> str:
    """The class of the module, or the operation where the step is one or cuts."""
    if step.kind == "score":
        return ""
    type_name = report.target.type_name if step.kind == "layer" else types.get(step.module, "")
    operation = written(step.operation)
    operation = "" if operation == step.label else operation
    if step.kind == "cut" or step.label != step.module:
        return operation or (type_name if step.label == step.module or step.kind == "layer" else "")
    return type_name or operation
