"""GF401: a gradient arrives, but some of the ways it should come by are cut."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.cause_texts import CauseText, text_for
from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help, Repair, Severity
from gradflow.diagnose.score_path import score_path
from gradflow.diagnose.values.thrown_away import GIVE_A_NAME, OF_OTHER_VALUES, THROWN_AWAY, are_thrown_away
from gradflow.graph.chance.draws import RANDOM_DRAW
from gradflow.graph.cut_group import CutGroup
from gradflow.location import SourceSpan
from gradflow.probe.derivative.harmful import harmful_losses
from gradflow.probe.evidence import Evidence, PartialLoss
from gradflow.source_place import place

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
    recording, group = evidence.recording, loss.group
    operation = _operation_of(group)
    text = text_for(RANDOM_DRAW if loss.is_drawn else group.cause, recording.name_of(operation))
    region = recording.site_span(group.site)
    at_operation = recording.span_of(operation)
    location = region or at_operation
    share = _share(loss.relative_difference)
    subject = f"`{evidence.target}`"
    if loss.output >= 0:
        subject = f"tensor {loss.output + 1} of those that {subject} returns"
    notes: list[str] = []
    repair: Repair | None = None
    if loss.is_mended:
        others = _and_others(evidence, loss)
        changes = f"changes by {share} of the larger of its two L2 norms"
        notes.append(f"tried: with this cut{others} mended, the gradient at {subject} {changes}")
        # how much is said once, in the note
        mended = "with all of these cuts mended, the gradient" if others else "the gradient then"
        repair = Repair(
            description=text.helps[0],
            verified=True,
            outcome=f"{mended} changes, as noted above",
        )
    elif not loss.estimates:
        moved = f"with the values of {subject} moved a little, {evidence.score} does not follow its gradient"
        notes.append(f"measured: {moved}; they differ by {share}")
        outcome = "not tried: gradflow cannot do this computation in torch"
        if loss.is_tried:
            outcome = "the gradient is then not finite"
        repair = Repair(description=text.helps[0], verified=False if loss.is_tried else None, outcome=outcome)
    is_thrown_away = are_thrown_away(evidence, group)
    message, reason = _told(evidence, loss, subject, text, severity)
    if is_thrown_away and repair is not None:
        message = f"the gradient at {subject} {OF_OTHER_VALUES}"
        repair = replace(repair, description=GIVE_A_NAME)
    notes.append(reason)
    annotations: tuple[Annotation, ...] = ()
    if at_operation is not None and at_operation != location:
        annotations = (Annotation(span=at_operation, label="first operation that is not recorded"),)
    return Diagnostic(
        code=code_of("partial-detach"),
        name="partial-detach",
        severity=severity,
        message=message,
        location=location,
        label=THROWN_AWAY if is_thrown_away else "this way carries no gradient, the others do",
        annotations=annotations,
        module=recording.module_of(operation),
        path=score_path(evidence, (group, *loss.others), through=group)
        if severity == "error" and not is_thrown_away
        else (),
        notes=tuple(notes),
        helps=(
            Help(text=GIVE_A_NAME if is_thrown_away else text.helps[0], repair=repair),
            *(Help(text=more) for more in text.helps[1:] if loss.is_drawn),
            Help(
                text="if the stop is meant, it needs no mending: the gradient asked for is then not the true derivative"
            ),
        )
        if severity == "error"
        else (),
    )


def _told(evidence: Evidence, loss: PartialLoss, subject: str, text: CauseText, severity: Severity) -> tuple[str, str]:
    """The message, and what speaks for or against a mistake."""
    recording, operation = evidence.recording, _operation_of(loss.group)
    if loss.estimates == "draw":
        return f"what is drawn here hands no gradient on to {subject}, and meets again what it was drawn with", (
            "they meet as in `log_prob`, and what comes of that is multiplied with what came of the draw or was given "
            "to the model, or may be: so do score-function estimators (REINFORCE, policy gradients), where it is meant"
        )
    if loss.estimates == "weight":
        return f"a part of the gradient of {subject} is stopped here, which only weighs the likelihood of a draw", (
            "a score-function estimator (REINFORCE, policy gradients) holds its weights fixed: usually this is meant"
        )
    if loss.is_straight_through:
        return f"straight-through estimator on the way to {subject}", (
            "the detached value cancels in the sum, so the gradient is that of the smooth part: usually this is meant"
        )
    if loss.is_behind_substitute:
        return f"a part of the gradient of {subject} that is not its derivative is stopped here", (
            "what is stopped comes only through operations whose backward stands in for their derivative (a spike, a "
            "quantiser), so no true derivative is lost: usually this is meant"
        )
    if loss.stopped_again is not None:
        again = recording.site_span(loss.stopped_again.site) or recording.span_of(_operation_of(loss.stopped_again))
        where = f" at {place(again)}" if again is not None else ""
        return f"a part of the gradient of `{evidence.target}` is stopped here, and once more behind it", (
            f"what comes from here has no history, and is stopped{where} all the same: usually this is meant"
        )
    if loss.is_made_up_for:
        return f"a part of the gradient of {subject} is stopped here, and nothing is missing", (
            f"measured: with the values of {subject} moved a little, {evidence.score} follows its gradient "
            "as it is, so with this cut mended it would not be the derivative (implicit differentiation stops so)"
        )
    if severity == "info":
        why = (
            "it happens inside a module of torch"
            if operation in recording.library_operations
            else "the line is not yours"
        )
        return f"an installed package stops part of the gradient of {subject}", (
            f"taken as its authors' decision, because {why}"
        )
    message = f"the gradient at {subject} is incomplete: one way from {evidence.score} is cut"
    if loss.is_drawn:
        estimator = "no likelihood of it is weighed with what comes of it, as in a score-function estimator"
        return message, f"{text.note}; {estimator}"
    return message, text.note


def _and_others(evidence: Evidence, loss: PartialLoss) -> str:
    """The other cuts on the same way, which were mended with it: of one alone nothing is known."""
    own, *spans = (
        evidence.recording.site_span(group.site) or evidence.recording.span_of(_operation_of(group))
        for group in (loss.group, *loss.others)
    )
    places = [
        "another" if span is None else f"the one at {place(span)}" for span in spans if span is None or span != own
    ]
    return "".join(f" and {where}" for where in dict.fromkeys(places))


def _operation_of(group: CutGroup) -> int:
    return group.leave if group.leave >= 0 else group.operation


def _share(relative: float) -> str:
    return f"{100 * relative:.0f}%" if relative >= 0.01 else f"{100 * relative:.2g}%"
