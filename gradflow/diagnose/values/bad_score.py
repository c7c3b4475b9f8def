"""GF407: the score itself is NaN or infinite, which a gradient that is finite does not show."""

from __future__ import annotations

from collections.abc import Sequence

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help, Severity
from gradflow.diagnose.values.made_in_forward import said_of_making, then_nan, ways_out
from gradflow.location import SourceSpan
from gradflow.probe.facts.bad_number import BadScore
from gradflow.recording import Recording
from gradflow.spelled import Spelled

__all__ = ["bad_score_finding"]

_MADE_OF_ALL = "gradflow made this loss of every entry of the output, and some are infinite, as masked logits are"

_YOUR_LOSS = Spelled(
    "audit it with the loss that you train with: `--loss file.py:function`",
    in_python="audit it with the loss that you train with: `loss=...`",
)


def bad_score_finding(
    recording: Recording,
    score: str,
    bad: BadScore,
    *,
    location: SourceSpan | None,
    annotations: Sequence[Annotation] = (),
    notes: Sequence[str] = (),
) -> Diagnostic:
    """What made it, at ``location``; an error, but where the loss is gradflow's own and infinities may be meant."""
    made = bad.made
    message = f"{score} is {bad.shown}"
    label = ""
    severity: Severity = "error"
    if bad.is_own:
        severity = "warning" if made is not None and made.is_computed else "info"
        notes = (*notes, _MADE_OF_ALL)
    helps = (_YOUR_LOSS,) if bad.is_own else ()
    if made is None:
        notes = (*notes, "the operation at which it is born is not determined")
    else:
        said, label = said_of_making(recording, made)
        message = f"{message}: {said}"
        notes = (*then_nan(recording, made), *notes)
        helps = helps if severity == "info" else (*ways_out(recording, made), *helps)
    return Diagnostic(
        code=code_of("nan-singularity"),
        name="nan-singularity",
        severity=severity,
        message=message,
        location=location,
        label=label if location is not None else "",
        annotations=tuple(annotations),
        module=recording.module_of(made.operation) if made is not None else "",
        notes=tuple(notes),
        helps=tuple(Help(text=text) for text in helps),
    )
