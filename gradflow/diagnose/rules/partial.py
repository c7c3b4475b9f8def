"""GF401: a gradient arrives, but some of the ways it should come by are cut."""

from __future__ import annotations

from gradflow.diagnose.cause_texts import text_for
from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help, Repair, Severity
from gradflow.diagnose.score_path import score_path
from gradflow.diagnose.verdict import harmful_losses
from gradflow.location import SourceSpan
from gradflow.probe.evidence import Evidence, PartialLoss

__all__ = ["some_ways_are_cut"]


def some_ways_are_cut(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """One diagnostic per partial cut that was shown to change the gradient."""
    harmful = harmful_losses(evidence)
    rest = [loss for loss in evidence.partial if loss not in harmful]
    found = [_diagnostic(evidence, loss, "error") for loss in harmful]
    # `h.detach().mean().item()` is one step: what it begins with is not told again
    whole = [one for one in found if not any(_begins(one.location, other.location) for other in found)]
    return (*whole, *(_diagnostic(evidence, loss, "info") for loss in rest))


def _begins(part: SourceSpan | None, whole: SourceSpan | None) -> bool:
    """Whether one expression is what another, longer one starts with."""
    if part is None or whole is None or part.column is None or part == whole:
        return False
    is_same_start = (part.path, part.line, part.column) == (whole.path, whole.line, whole.column)
    ends = [(span.end_line or 0, span.end_column or 0) for span in (part, whole)]
    return is_same_start and ends[0] < ends[1]


def _diagnostic(evidence: Evidence, loss: PartialLoss, severity: Severity) -> Diagnostic:
    trace, group = evidence.trace, loss.group
    operation = group.leave if group.leave >= 0 else group.operation
    text = text_for(group.cause, trace.name_of(operation))
    region = trace.site_span(group.site)
    at_operation = trace.span_of(operation)
    location = region or at_operation
    share = _share(loss.relative_difference)
    if loss.is_mended:
        notes = [f"tried: with this cut mended, the gradient at `{evidence.target}` changes by {share} of its L2 norm"]
        repair = Repair(
            description=text.helps[0],
            verified=True,
            outcome=f"the gradient then changes by {share} of its L2 norm",
        )
    else:
        moved = f"with the values of `{evidence.target}` moved a little, {evidence.score} does not follow its gradient"
        notes = [f"measured: {moved}; they differ by {share}"]
        outcome = "not tried: gradflow cannot do this computation in torch"
        if loss.is_tried:
            outcome = "the gradient is then not finite"
        repair = Repair(description=text.helps[0], verified=False if loss.is_tried else None, outcome=outcome)
    if loss.is_straight_through:
        message = f"straight-through estimator on the way to `{evidence.target}`"
        notes.append(
            "the detached value cancels in the sum, so the gradient is that of the smooth part: usually this is meant"
        )
    elif loss.is_behind_substitute:
        message = f"a part of the gradient of `{evidence.target}` that is not its derivative is stopped here"
        notes.append(
            "what is stopped comes only through operations whose backward stands in for their derivative (a spike, a "
            "quantiser), so no true derivative is lost: usually this is meant"
        )
    elif severity == "info":
        message = f"an installed package stops part of the gradient of `{evidence.target}`"
        is_torchs = operation in trace.library_operations
        why = "it happens inside a module of torch" if is_torchs else "the line is not yours"
        notes.append(f"taken as its authors' decision, because {why}")
    else:
        message = f"the gradient at `{evidence.target}` is incomplete: one way from {evidence.score} is cut"
        notes.append(text.note)
    annotations: tuple[Annotation, ...] = ()
    if at_operation is not None and at_operation != location:
        annotations = (Annotation(span=at_operation, label="first operation that is not recorded"),)
    return Diagnostic(
        code=code_of("partial-detach"),
        name="partial-detach",
        severity=severity,
        message=message,
        location=location,
        label="this way carries no gradient, the others do",
        annotations=annotations,
        module=trace.module_of(operation),
        path=score_path(evidence) if severity == "error" else (),
        notes=tuple(notes),
        helps=(
            Help(
                text=text.helps[0],
                repair=repair,
            ),
            Help(
                text="if the stop is meant, it needs no mending: the gradient asked for is then not the true derivative"
            ),
        )
        if severity == "error"
        else (),
    )


def _share(relative: float) -> str:
    if relative == float("inf"):
        return "all"
    return f"{100 * relative:.0f}%" if relative >= 0.01 else f"{100 * relative:.2g}%"
