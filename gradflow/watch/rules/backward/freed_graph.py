"""GF502: the graph is needed again after an earlier backward has freed it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gradflow.graph.dependence import analyse
from gradflow.location import SourceSpan
from gradflow.recording import Recording
from gradflow.recording.program.events import Backward
from gradflow.watch.facts.leaves import is_leaf_value
from gradflow.watch.facts.naming.names import name_of_value, score_text
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.backward.made_anew import is_made_anew, where_made_once

__all__ = ["graph_is_freed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Freed:
    """The backward that freed the graph; the value that a new forward took over, and the operation that took it.

    Both are -1 where no new forward ran since: then the same one is differentiated once more. ``has_own_leaf`` tells
    whether the new one also read another leaf that requires grad.
    """

    backward: Backward | None
    carried: int = -1
    reader: int = -1
    has_own_leaf: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """``place`` is ``None`` where the earlier backward is the line to look at."""

    label: str
    notes: tuple[str, ...]
    helps: tuple[str, ...]
    place: SourceSpan | None = None


def graph_is_freed(observation: Observation, question: Question) -> Finding:
    """Which earlier pass freed the graph, and how a new forward came to what is left of it."""
    recording = observation.recording
    here = recording.site_span(question.backward.site)
    found = _freed_before(observation, question)
    if found.backward is None:
        return _freed_unseen(observation, question)
    earlier = found.backward
    first = recording.site_span(earlier.site)
    words = _words(observation, question, found, earlier, is_loop=first == here)
    annotations = [(first if first != here else None, "frees the graph"), (here, "needs it again here")]
    if found.carried >= 0:
        made = recording.span_of(recording.values.producer[found.carried])
        annotations.append((made, "this value was made here, with the graph that is gone"))
        annotations.append((_place_of_pass(observation, found.reader), "takes it, with its graph"))
    return finding(
        "graph-freed",
        "error",
        "the graph is gone: an earlier backward has freed what this one needs",
        words.place or first or here,
        label=words.label,
        annotations=tuple(annotations),
        notes=words.notes,
        helps=words.helps,
        target=name_of_value(observation, question.target)[0] if question.target >= 0 else "",
        score=score_text(observation, question.backward),
        rank=0,
        operation=question.operation,
    )


def _freed_unseen(observation: Observation, question: Question) -> Finding:
    """No earlier pass through this graph was seen: torch alone says that there was one."""
    return finding(
        "graph-freed",
        "error",
        "backward cannot run: torch says that the graph has been freed",
        observation.recording.site_span(question.backward.site),
        label="needs the graph",
        notes=(
            f"torch says: {question.error.partition(' (')[0]}",
            "the backward that has freed it was not seen",
            _CARRIED,
        ),
        helps=(_CARRY, _RETAIN),
        severity="warning",
        target=name_of_value(observation, question.target)[0] if question.target >= 0 else "",
        score=score_text(observation, question.backward),
        rank=0,
        operation=question.operation,
    )


def _words(observation: Observation, question: Question, found: _Freed, earlier: Backward, *, is_loop: bool) -> _Words:
    recording, carried = observation.recording, found.carried
    where = "in an earlier turn of the loop" if is_loop else "here"
    freed = f"the first backward {where} has freed the intermediate values, as it does unless told otherwise"
    if carried < 0:
        if _is_in_closure(observation, earlier, question.backward):
            note = "the optimizer calls its closure several times in one step"
            return _Words(label="needs the graph again", notes=(freed, note), helps=(_IN_CLOSURE,))
        label = "needs the graph again" if is_loop else "frees the graph, which is needed again"
        return _Words(label=label, notes=(freed,), helps=(_RETAIN,))
    producer = recording.values.producer[carried]
    if not is_loop:
        note = "both passes go through what made one and the same value"
        return _Words(label="frees the graph, which is needed again", notes=(freed, note), helps=_BOTH)
    between = range(earlier.operation, question.backward.operation)
    if not is_made_anew(observation, producer, between):
        note = "the value was computed once, before these passes, and each of them uses it with its graph"
        return _Words(
            place=where_made_once(observation, producer, between),
            label="made once, and used in every pass",
            notes=(freed, note),
            helps=_ANEW,
        )
    # a value that a model has not returned is kept by the model itself
    is_kept = recording.operations.call[producer] >= 0 and not any(carried in call.outputs for call in recording.calls)
    return _Words(
        place=recording.span_of(producer) if is_kept else _place_of_pass(observation, found.reader),
        label="made in one step and kept for the next, with its graph"
        if is_kept
        else "takes a value of the step before, with its graph",
        notes=(freed, _CARRIED),
        helps=(_CARRY, _RETAIN) if found.has_own_leaf else _WITHIN,
    )


_CARRIED = "a value carried over from an earlier step (a hidden state, a running loss) brings its old graph along"
_RETAIN = "if the same forward is differentiated several times, pass `retain_graph=True` to all but the last"
_CARRY = "carry `value.detach()` from step to step"
_WITHIN = (
    "if this is what learns, change it in place, so that it stays a leaf: `with torch.no_grad(): x.clamp_(0, 1)`",
)
_IN_CLOSURE = "compute the loss inside the closure, so that each call has a graph of its own"
_ANEW = (
    "compute it anew in every pass, in `forward` for example: then each pass has a graph of its own",
    "if it is only compared with, and is not to learn, make it once without its graph: `.detach()`",
)
_BOTH = (
    "if the first loss is not to train what made that value, as in a GAN, give it `value.detach()`",
    "else add the losses up and call `backward()` once, or pass `retain_graph=True` to the first",
)


def _is_in_closure(observation: Observation, earlier: Backward, later: Backward) -> bool:
    """Whether both ran in one and the same step of an optimizer that calls a closure."""
    return any(
        begun <= earlier.operation and (ended < 0 or later.operation <= ended)
        for optimizer in observation.program.optimizers
        for begun, ended in optimizer.closures
    )


def _place_of_pass(observation: Observation, operation: int) -> SourceSpan | None:
    """Where the program called the model that an operation ran in; the operation's own line outside of models."""
    recording = observation.recording
    call = observation.program.pass_of_call(recording.operations.call[operation])
    return recording.site_span(recording.calls[call].site) if call >= 0 else recording.span_of(operation)


def _freed_before(observation: Observation, question: Question) -> _Freed:
    """The last backward through a part of the same graph; and how a new forward came to that part."""
    recording = observation.recording
    made = recording.values.producer
    mine = analyse(_scored(observation, question.score), ()).reaches
    for earlier in reversed(observation.program.backwards[: question.backward_number]):
        if earlier.error or not earlier.roots:
            continue
        if question.score in earlier.roots:
            return _Freed(backward=earlier)
        theirs = analyse(_scored(observation, earlier.score), ()).reaches
        # by operation: the state that an LSTM returns shares the node of its output, which the loss was made of
        freed = {
            made[v] for v, used in enumerate(theirs) if used and made[v] >= 0 and recording.values.requires_grad[v]
        }
        shared = {v for v, used in enumerate(mine) if used and made[v] in freed}
        if shared:
            since = [made[v] for v, used in enumerate(mine) if used and made[v] >= earlier.operation]
            return _taken_over(observation, earlier, since, _made_of(recording, shared, earlier.operation))
    return _Freed(backward=None)


def _made_of(recording: Recording, shared: set[int], until: int) -> set[int]:
    """The shared values, and what was computed from them with a history before a moment."""
    found = set(shared)
    for operation in range(until):
        if any(value in found for value in recording.inputs_of(operation)):
            found.update(value for value in recording.outputs_of(operation) if recording.values.requires_grad[value])
    return found


def _taken_over(observation: Observation, earlier: Backward, operations: list[int], shared: set[int]) -> _Freed:
    """Which old value the operations since have read, if a new forward is among them.

    It has read a leaf of its own; or, where the model is frozen, it has made anew what it took over.
    """
    recording = observation.recording
    has_own_leaf = any(
        recording.requires_grad_of(v, at=o) and is_leaf_value(recording, v)
        for o in operations
        for v in recording.inputs_of(o)
    )
    for operation in operations:
        for value in recording.inputs_of(operation):
            if value not in shared:
                continue
            producer = recording.values.producer[value]
            if has_own_leaf or (producer >= 0 and is_made_anew(observation, producer, operations)):
                return _Freed(backward=earlier, carried=value, reader=operation, has_own_leaf=has_own_leaf)
    return _Freed(backward=earlier)


def _scored(observation: Observation, score: int) -> Recording:
    return replace(observation.recording, score=score)
