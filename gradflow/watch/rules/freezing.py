"""GF110: the very tensor asked for has ``requires_grad=False``: by mistake, or on purpose."""

from __future__ import annotations

from gradflow.location import SourceSpan
from gradflow.probe.evidence import Evidence
from gradflow.recording.program.events import FlagChange
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["not_trainable"]


def not_trainable(observation: Observation, question: Question, evidence: Evidence) -> Finding:
    """A frozen parameter, or a tensor that never required grad, and took part in the score."""
    target = question.target
    flag = _frozen_by(observation, question)
    is_parameter = (
        evidence.kind == "parameter" and observation.recording.leaf_names.get(target, ("",))[0] == "parameter"
    )
    module = evidence.target.rpartition(".")[0]
    is_meant = flag is not None and _is_meant(observation, question, evidence, flag)
    is_checked = question.read is not None and not question.read.is_wanted
    if is_parameter:
        note = "autograd leaves out what does not require grad; if it is frozen on purpose, `None` is right"
        cure = f"switch it on after everything that freezes: `{module or 'model'}.requires_grad_(True)`"
    else:
        note = "only what requires grad gets a gradient: a buffer, or a plain tensor, does not unless it is told to"
        cure = "if it should learn, make it an `nn.Parameter(...)`; else call `.requires_grad_()` before the forward"
    if flag is not None and _was_read_before(observation, evidence, target):
        cure = "switch it off after the backward: it still required grad when the forward read it"
    if question.error:
        cure = "call `.requires_grad_()` on it before the forward"
    # it may have been switched on since
    was = "was" if observation.recording.requires_grad_of(target, at=len(observation.recording)) else "is"
    wish = "if a gradient is wanted there, call `.requires_grad_()` on it before the forward"
    return finding(
        "not-trainable",
        "connected" if is_meant or is_checked else "broken",
        f"`{evidence.target}` gets no gradient: its `requires_grad` {was} `False`",
        _place(observation, target, flag),
        label="switched off here" if flag is not None else "made here",
        annotations=((observation.recording.site_span(question.site), question.outcome),),
        notes=(
            *((f"torch says: {question.error}",) if question.error else ()),
            note,
            *(
                ("all that was frozen with it is read here too, and other parameters train: taken as meant",)
                if is_meant
                else ("the program only asks whether a gradient is there: taken as a check that none is",)
                if is_checked
                else ()
            ),
        ),
        severity="info" if is_meant or is_checked else "warning" if is_parameter else "error",
        helps=() if is_meant else (wish,) if is_checked else (cure,),
        target="" if is_meant or is_checked else evidence.target,
        is_parameter=True,
        score=evidence.score,
        operation=question.operation,
    )


def _place(observation: Observation, target: int, flag: FlagChange | None) -> SourceSpan | None:
    """Where it was switched off, else where it was made."""
    recording = observation.recording
    if flag is not None:
        return recording.site_span(flag.site)
    producer = recording.values.producer[target]
    own = recording.site_span(observation.program.made_at.get(target, -1)) or (
        recording.span_of(producer) if producer >= 0 else None
    )
    if own is not None:
        return own
    made = next((m.made_at for m in observation.program.modules.values() if target in m.parameters), -1)
    return recording.site_span(made)


def _frozen_by(observation: Observation, question: Question) -> FlagChange | None:
    switch = observation.program.last_switch(question.target, before=question.backward_number)
    return switch if switch is not None and not switch.on else None


def _was_read_before(observation: Observation, evidence: Evidence, target: int) -> bool:
    """Whether it required grad when the score was computed from it: it was switched off since."""
    recording, reaches = evidence.recording, evidence.dependence.reaches
    rows = [
        row for row in recording.readers.get(target, ()) if any(reaches[value] for value in recording.outputs_of(row))
    ]
    return bool(rows) and all(recording.requires_grad_of(target, at=row) for row in rows)


def _is_meant(observation: Observation, question: Question, evidence: Evidence, flag: FlagChange) -> bool:
    """Whether the program looks at everything that it froze there, while others train.

    Who looks at some of it only, and at none of the rest, wants to see a gradient there.
    """
    names, reaches = evidence.recording.leaf_names, evidence.dependence.reaches
    trained = any(names.get(value, ("",))[0] == "parameter" for value in question.backward.arrived)
    if not trained or flag.operation > question.backward.operation:
        return False
    together = {
        other.value
        for other in observation.program.flags
        if other.site == flag.site and not other.on and reaches[other.value]
    }
    return together <= {read.value for read in observation.program.reads}
