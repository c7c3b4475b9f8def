"""Where a gradient stops being the derivative: one line, or the lines between two places where it was compared."""

from __future__ import annotations

from dataclasses import dataclass

from gradflow.diagnose.diagnostic import Annotation
from gradflow.location import SourceSpan
from gradflow.probe.evidence import Evidence
from gradflow.source_place import place

__all__ = ["DifferencePlace", "difference_place"]

_MOST_NAMED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferencePlace:
    """A line, what stands under it, and what the reader must know of it."""

    span: SourceSpan | None
    label: str
    annotations: tuple[Annotation, ...] = ()
    notes: tuple[str, ...] = ()


def difference_place(evidence: Evidence, after: str, before: str) -> DifferencePlace:
    """The operations between the output of ``after``, or a parameter, and that of ``before``, as lines of the program.

    The gradient was compared at outputs of modules only; what runs between two of them is all that can be said.
    """
    if not before:
        return DifferencePlace(span=_called_at(evidence, after), label="the difference arises behind this")
    lines = _lines_between(evidence, after, before)
    last = _called_at(evidence, before)
    earlier = [span for span in lines if last is None or (span.path, span.line) != (last.path, last.line)]
    if not earlier:
        return DifferencePlace(span=last, label=f"the difference arises in `{before}`")
    named = ", ".join(f"`{place(span)}`" for span in earlier[:_MOST_NAMED])
    more = f" and {len(earlier) - _MOST_NAMED} more lines" if len(earlier) > _MOST_NAMED else ""
    return DifferencePlace(
        span=earlier[0],
        label="the difference arises here or further on",
        annotations=(Annotation(span=last, label="but not behind this"),) if last is not None else (),
        notes=(f"between the two run {named}{more}, then `{before}`: in which of them it arises is not determined",),
    )


def _called_at(evidence: Evidence, module: str) -> SourceSpan | None:
    calls = evidence.recording.calls_by_module.get(module, ())
    return evidence.recording.site_span(calls[0].site) if calls else None


def _lines_between(evidence: Evidence, after: str, before: str) -> tuple[SourceSpan, ...]:
    """One span for each line between them that the score depends on, and that depends on the target."""
    recording, dependence = evidence.recording, evidence.dependence
    calls = recording.calls_by_module
    start = calls[after][0].end_operation if after in calls else 0
    end = calls[before][0].end_operation
    inside = calls[before][0].first_operation
    found: dict[tuple[str, int], SourceSpan] = {}
    for operation in range(start, end):
        span = recording.span_of(operation)
        # what `before` itself runs is told by its name
        if span is None or operation >= inside:
            continue
        if any(dependence.depends[value] and dependence.reaches[value] for value in recording.outputs_of(operation)):
            found.setdefault((span.path, span.line), span)
    return tuple(found.values())
