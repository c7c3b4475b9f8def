"""GF111, GF112, GF407, GF501, GF502: autograd raised although everything was connected."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from gradflow.graph.dependence import analyse
from gradflow.location import SourceSpan
from gradflow.recording import Recording
from gradflow.torch_facts.messages import of_backward
from gradflow.torch_facts.operations.writing import written
from gradflow.watch.facts.naming.names import name_of_value, score_text
from gradflow.watch.facts.questions import Question
from gradflow.watch.facts.writes import writes_in_place
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.backward.freed_graph import graph_is_freed

__all__ = ["backward_raised"]


def backward_raised(observation: Observation, question: Question) -> tuple[Finding, ...]:
    """The graph was freed, a saved tensor was changed, or a reentrant checkpoint was in the way.

    What code of the program raised says nothing of torch, in whatever words.
    """
    said = question.error
    if not question.backward.is_torchs_error:
        return ()
    if of_backward.GRAPH_FREED.is_in(said):
        return (graph_is_freed(observation, question),)
    if of_backward.CHANGED_IN_PLACE.is_in(said):
        return (_changed(observation, question),)
    # the words only raise the question: other kinds of checkpoints refuse other things
    if of_backward.speaks_of_checkpoints(said) and (applied := _reentrant(observation, question)) >= 0:
        return (_checkpoint(observation, question, applied),)
    if of_backward.ANOMALY.is_in(said):
        return (_anomaly(observation, question),)
    function = of_backward.function_that_returned(said)
    if function is not None and function in observation.program.backward_returns:
        return (_returned(observation, question, function),)
    return ()


def _anomaly(observation: Observation, question: Question) -> Finding:
    """Anomaly mode has stopped at the first NaN."""
    recording, origin = observation.recording, question.backward.origin
    is_given = question.backward.origin_is_given
    name = written(recording.name_of(origin)) if origin >= 0 else "an operation"
    return finding(
        "nan-singularity",
        "nan",
        f"backward was stopped at a NaN, which {'is given to' if is_given else 'is born at'} `{name}`",
        recording.span_of(origin) if origin >= 0 else None,
        label="is given NaN or infinity already" if is_given else "infinite or undefined at this input",
        annotations=((recording.site_span(question.backward.site), "stopped here by anomaly mode"),),
        notes=(f"torch says: {question.error}",),
        helps=("keep the input away from this point: clamp it, or add a small number (`(x + 1e-12).sqrt()`)",),
        **_common(observation, question),  # type: ignore[arg-type]
    )


def _returned(observation: Observation, question: Question, name: str) -> Finding:
    recording = observation.recording
    applied = [o for o in range(len(recording)) if recording.name_of(o) == f"{name}.apply"]
    return finding(
        "custom-function",
        "error",
        f"backward cannot run: what `{name}.backward` returns does not fit the inputs of its forward",
        observation.program.backward_returns[name],
        label="one gradient for each argument of `forward`, in its order and shape",
        annotations=((recording.span_of(applied[-1]) if applied else None, f"`{name}` is applied here"),),
        notes=(f"torch says: {question.error}",),
        helps=("return `None` for every argument of `forward` (after `ctx`) that is no tensor or needs no gradient",),
        **_common(observation, question),  # type: ignore[arg-type]
    )


def _common(observation: Observation, question: Question) -> dict[str, object]:
    name = name_of_value(observation, question.target)[0] if question.target >= 0 else ""
    return {
        "target": name,
        "score": score_text(observation, question.backward),
        "rank": 0,
        "operation": question.operation,
    }


def _scored(observation: Observation, score: int) -> Recording:
    return replace(observation.recording, score=score)


def _changed(observation: Observation, question: Question) -> Finding:
    recording = observation.recording
    writer, saver = _writer(observation, question)
    step = None
    if writer < 0:
        step = _step_before(observation, question)
    location = recording.span_of(writer) if writer >= 0 else step
    changed = (
        f"changed in place here (`{recording.name_of(writer)}`)"
        if writer >= 0
        else "the optimizer changes parameters here"
    )
    return finding(
        "inplace-modification",
        "error",
        "backward cannot run: a tensor that it needs was changed in place",
        location or recording.site_span(question.backward.site),
        # that it was changed is then what torch says, and nothing else
        severity="error" if location is not None else "warning",
        label=changed if location is not None else "found by this backward",
        annotations=((recording.span_of(saver) if saver >= 0 else None, "needed with the numbers that it had here"),),
        notes=(f"torch says: {question.error.split('. Hint')[0]}",),
        helps=(
            "write the result to a new tensor instead: `y = y + 1` and not `y += 1`",
            "or change a copy: `.clone()` before this line",
            "if it was `optimizer.step()`: call it after all backward passes that use the old parameters",
        ),
        **_common(observation, question),  # type: ignore[arg-type]
    )


def _writer(observation: Observation, question: Question) -> tuple[int, int]:
    """The in-place operation behind it, and the operation that needed the old numbers.

    What it needed is lost with the first write behind it; later ones change nothing more. Where backward stopped tells
    who needed it. Else torch tells the shape of what was changed, and what had made it. An operation such as ``einsum``
    keeps a view of another shape: then the number of entries has to do.
    """
    recording = observation.recording
    shape, maker = _shape_in(question.error), _maker_in(question.error)
    needed = _overwritten(observation, question)
    if not any(one.reader == question.backward.stopped_at for one in needed) and _is_stepped(observation, question):
        return -1, -1  # a step wrote into the parameter, and what else has that shape is a coincidence
    needed = [one for one in needed if one.reader == question.backward.stopped_at] or needed
    fitting = [one for one in needed if shape is None or tuple(recording.values.shape[one.value]) == shape]
    made = [one for one in fitting if maker and _made_by(recording, one.value) == maker]
    alike = [one for one in needed if shape and math.prod(recording.values.shape[one.value]) == math.prod(shape)]
    found = (made or fitting or alike)[-1:]
    return (found[0].writer, found[0].reader) if found else (-1, -1)


class _Overwritten(NamedTuple):
    """``reader`` computed something with ``value``, or made it, and ``writer`` was the first to change it since."""

    writer: int
    reader: int
    value: int


def _overwritten(observation: Observation, question: Question) -> list[_Overwritten]:
    """What the score was computed from and was changed before backward, in the order of the writes."""
    recording = observation.recording
    reaches = analyse(_scored(observation, question.score), ()).reaches
    roots = recording.values.memory
    waiting: dict[int, list[tuple[int, int]]] = {}
    found: list[_Overwritten] = []
    for operation in range(min(question.operation, len(recording))):
        if writes_in_place(recording, operation):
            before = waiting.pop(roots[recording.inputs_of(operation)[0]], [])
            found.extend(_Overwritten(operation, reader, value) for reader, value in before)
        if any(reaches[value] for value in recording.outputs_of(operation)):
            for value in {*recording.inputs_of(operation), *recording.outputs_of(operation)}:
                waiting.setdefault(roots[value], []).append((operation, value))
    return found


def _maker_in(message: str) -> str:
    """``sigmoid`` of ``which is output 0 of SigmoidBackward0``; empty for a leaf, and for a view remade by torch."""
    _, found, rest = message.partition("which is output ")
    name = rest.partition(" of ")[2].partition(",")[0].partition("Backward")[0] if found else ""
    return "" if name == "AsStrided" else name.lower()


def _made_by(recording: Recording, value: int) -> str:
    producer = recording.values.producer[value]
    return recording.name_of(producer).rstrip("_").replace("_", "").lower() if producer >= 0 else ""


def _shape_in(message: str) -> tuple[int, ...] | None:
    """The shape that torch names: ``[torch.FloatTensor [3, 4]]``."""
    _, found, rest = message.partition("Tensor [")
    inside, closed, _ = rest.partition("]")
    numbers = [part.strip() for part in inside.split(",") if part.strip()]
    return tuple(map(int, numbers)) if found and closed and all(n.isdigit() for n in numbers) else None


def _is_stepped(observation: Observation, question: Question) -> bool:
    """Whether an optimizer has stepped, since it was used, on a parameter that backward stopped at."""
    stopped, roots = question.backward.stopped_at, observation.recording.values.memory
    read = {roots[value] for value in observation.recording.inputs_of(stopped)} if stopped >= 0 else set[int]()
    return any(
        stopped < operation <= question.operation and not read.isdisjoint(optimizer.parameters)
        for optimizer in observation.program.optimizers
        for _, operation in optimizer.steps
    )


def _step_before(observation: Observation, question: Question) -> SourceSpan | None:
    steps = [
        step
        for optimizer in observation.program.optimizers
        for step in optimizer.steps
        if step[1] <= question.operation
    ]
    return observation.recording.site_span(max(steps, key=lambda step: step[1])[0]) if steps else None


def _reentrant(observation: Observation, question: Question) -> int:
    """The reentrant checkpoint that the score was computed through, where gradients are asked for one by one."""
    recording, backward = observation.recording, question.backward
    if backward.kind != "grad" and not backward.inputs:
        return -1
    reaches = analyse(_scored(observation, question.score), ()).reaches
    applied = (row for row in range(len(recording)) if recording.name_of(row) == "CheckpointFunction.apply")
    # what it returns was made by an operation within it, and has that one for its producer
    read = ((row, (*recording.inputs_of(row), *recording.outputs_of(row))) for row in applied)
    return next((row for row, values in read if any(reaches[value] for value in values)), -1)


def _checkpoint(observation: Observation, question: Question, applied: int) -> Finding:
    recording = observation.recording
    asked = "`torch.autograd.grad`" if question.backward.kind == "grad" else "`backward(inputs=...)`"
    return finding(
        "reentrant-checkpoint",
        "error",
        f"reentrant checkpointing does not work with {asked}",
        recording.span_of(applied),
        label="checkpointed with `use_reentrant=True`",
        annotations=((recording.site_span(question.backward.site), f"differentiated with {asked} here"),),
        notes=(f"torch says: {question.error.split('. ')[0]}",),
        helps=("call `checkpoint(..., use_reentrant=False)`",),
        **_common(observation, question),  # type: ignore[arg-type]
    )
