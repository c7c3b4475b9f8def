"""GF401: a gradient came, and one way by which the score was computed from the same tensor is left out of it.

A program runs once, so nothing can be tried, and most partial cuts are meant: targets held fixed, weights, statistics,
a maximum subtracted for stability, straight-through estimates. Two kinds can be told from those. A value that only
passes through and is added to, or put beside, what does carry the gradient: a skip connection, whose share is the very
gradient at the junction, and certainly missing. And a value that goes through a Python number or a new tensor, as
nobody writes who means to stop a gradient. Only gradients at activations and inputs are looked at, which are asked for
to be read; what an optimizer moves is trained by estimates of all kinds.
"""

from __future__ import annotations

from gradflow.diagnose.cause_texts import text_for
from gradflow.graph.cut_group import CutGroup
from gradflow.location import SourceSpan, is_installed
from gradflow.probe.evidence import Evidence
from gradflow.probe.straight_through import is_straight_through
from gradflow.recording import Recording
from gradflow.torch_facts.operations.queries import hands_entries_on, has
from gradflow.torch_facts.operations.spelling import operation_of
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["one_way_is_cut"]

_CAUSES = frozenset({"detach", "no-grad", "inference-mode", "numpy-roundtrip", "tensor-rewrap"})
_UNINTENDED = frozenset({"numpy-roundtrip", "tensor-rewrap"})


def one_way_is_cut(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """What is certainly missing makes the gradient wrong; what may be missing is only told."""
    if _is_trained(observation, question.target):
        return ()
    certain: list[Finding] = []
    perhaps: list[Finding] = []
    for way in evidence.dependence.sides:
        if not way or any(group.cause not in _CAUSES or not _is_own(evidence.recording, group) for group in way):
            continue
        if is_straight_through(evidence.recording, way[0]) or _only_shifts(evidence.recording, way[0]):
            continue
        is_certain = len(way) == 1 and way[0].leave < 0 and _joins_unchanged(evidence, way[0])
        if is_certain:
            certain.append(_finding(question, evidence, way[0], is_certain=True))
        elif all(group.cause in _UNINTENDED for group in way):
            perhaps.append(_finding(question, evidence, way[0], is_certain=False))
    return tuple(certain or perhaps)


def _is_trained(observation: Observation, target: int) -> bool:
    if observation.recording.leaf_names.get(target, ("",))[0] == "parameter" or target in observation.program.made_at:
        return True
    return any(target in optimizer.parameters for optimizer in observation.program.optimizers)


def _is_own(recording: Recording, group: CutGroup) -> bool:
    place = _place(recording, group)
    return place is not None and not is_installed(place.path)


def _place(recording: Recording, group: CutGroup) -> SourceSpan | None:
    return recording.site_span(group.site) or recording.span_of(group.leave if group.leave >= 0 else group.operation)


def _joins_unchanged(evidence: Evidence, group: CutGroup) -> bool:
    """Whether the value behind the cut only passes through up to a sum or a concatenation that carries the gradient."""
    recording, dependence = evidence.recording, evidence.dependence
    if not _passes(recording.name_of(group.operation)):
        return False
    waiting = [value for value in recording.outputs_of(group.operation) if dependence.reaches[value]]
    passed = set(waiting)
    while waiting:
        for operation in recording.readers.get(waiting.pop(), ()):
            outputs = [value for value in recording.outputs_of(operation) if dependence.reaches[value]]
            name = recording.name_of(operation)
            if _is_junction(name) and outputs and dependence.carries[outputs[0]]:
                return True
            if _passes(name):
                waiting.extend(value for value in outputs if value not in passed)
                passed.update(outputs)
    return False


def _passes(name: str) -> bool:
    """Whether what goes in comes out as it is, wherever it stands then; its history may be left behind."""
    return hands_entries_on(name) or has(name, "rewraps", "aliases")


def _is_junction(name: str) -> bool:
    """Sums and concatenations; not differences: ``prediction - target.detach()`` is how a target is held fixed."""
    return operation_of(name) == "add" or has(name, "cats")


def _only_shifts(recording: Recording, group: CutGroup) -> bool:
    """A largest or smallest entry, taken out of all entries: what is normalised afterwards does not change by it."""
    source = group.value
    for value in (source, *(recording.outputs_of(group.operation))):
        producer = recording.values.producer[value]
        while producer >= 0:
            if has(recording.name_of(producer), "extreme"):
                return True
            inputs = recording.inputs_of(producer)
            producer = recording.values.producer[inputs[0]] if inputs and _passes(recording.name_of(producer)) else -1
    following = (row for value in recording.outputs_of(group.operation) for row in recording.readers.get(value, ()))
    return any(has(recording.name_of(operation), "extreme") for operation in following)


def _finding(question: Question, evidence: Evidence, group: CutGroup, *, is_certain: bool) -> Finding:
    recording = evidence.recording
    operation = group.leave if group.leave >= 0 else group.operation
    text = text_for(group.cause, recording.name_of(operation))
    if is_certain:
        sure = "the value goes on unchanged from here to where it joins the others, so its share is certainly missing"
    else:
        sure = "how much is missing was not measured: a program runs once; it may be nothing, and it may be meant"
    return finding(
        "partial-detach",
        "wrong" if is_certain else "connected",
        f"the gradient at `{evidence.target}` leaves out one way by which {evidence.score} was computed from it",
        _place(recording, group),
        label="this way carries no gradient, the others do",
        annotations=(
            (recording.span_of(operation), "first operation that is not recorded"),
            (recording.site_span(question.site), "the gradient is asked for here"),
        ),
        notes=(text.note, sure),
        helps=(text.helps[0], "if the stop is meant, nothing needs mending: it is then not the true derivative"),
        severity="warning" if is_certain else "info",
        target=evidence.target,
        score=evidence.score,
        operation=question.operation,
    )
