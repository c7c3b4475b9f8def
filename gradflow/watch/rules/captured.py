"""GF201, GF202, GF207, GF501: the captured tensor is not the one that the score was computed from."""

from __future__ import annotations

from collections.abc import Iterator

from gradflow.location import SourceSpan, source_line
from gradflow.probe.evidence import Evidence
from gradflow.recording import Recording
from gradflow.source.definitions import asked_name_made, kept_under
from gradflow.source.hooks import keeps_all, place_of_keeping
from gradflow.torch_facts.operations.queries import has
from gradflow.torch_facts.operations.spelling import operation_of
from gradflow.watch.facts.captures import copied_from, hook_around, hook_that_stored, is_rewritten
from gradflow.watch.facts.forwards import calls_scored_instead, other_calls
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["captured_tensor_is_another"]


def captured_tensor_is_another(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """Copied on capture, captured in another forward, overwritten by a later call, or changed since."""
    if question.target < 0:
        return ()
    return tuple(
        found for rule in (_copied, _stale, _rewritten, _overwritten) for found in rule(observation, question, evidence)
    )


def _common(question: Question, evidence: Evidence) -> dict[str, object]:
    return {
        "target": evidence.target,
        "score": evidence.score,
        "rank": 0 if question.error else 1,
        "operation": question.operation,
    }


def _copied(observation: Observation, question: Question, evidence: Evidence) -> Iterator[Finding]:
    """No gradient can arrive at a copy that has no history."""
    if question.measured.arrived:
        return
    recording = observation.recording
    copy = copied_from(recording, question.target)
    if copy is None or evidence.dependence.score_depends or evidence.dependence.reaches[question.target]:
        return  # the score was computed from this very tensor
    name = recording.name_of(copy.operation)
    written = (
        f"`.{name}()`"
        if operation_of(name) == "detach"
        else f"`.{name}`"
        if has(name, "detaches")
        else f"`{name}(...)`"
    )
    inside = hook_around(observation, copy.operation)
    from_pass = evidence.dependence.reaches[copy.origin]
    cause = "hook-detach" if inside else "detach" if has(name, "detaches") else "tensor-rewrap"
    notes = [
        f"{written} gives the same numbers without their history: it is another tensor, and the score does not use it"
    ]
    if question.read is not None and question.read.requires_grad:
        notes.append("`requires_grad_()` on the copy makes it a leaf of its own; that does not connect it to the score")
    if not from_pass:
        notes.append("besides, it comes from another forward pass than the score")
    yield finding(
        cause,
        "broken",
        f"the {'hook keeps' if inside else 'tensor asked for is'} a detached copy of the output of `{evidence.target}`"
        if evidence.kind == "layer"
        else f"the tensor asked for is a detached copy of `{evidence.target}`",
        recording.span_of(copy.operation),
        label="a copy that the score was not computed from",
        annotations=(
            (recording.site_span(inside[0].site) if inside else None, "the hook is registered here"),
            (recording.site_span(question.site), "its gradient is asked for here"),
        ),
        notes=tuple(notes),
        helps=("keep the tensor itself, and detach only what is drawn or logged afterwards",),
        **_common(question, evidence),  # type: ignore[arg-type]
    )


def _stale(observation: Observation, question: Question, evidence: Evidence) -> Iterator[Finding]:
    if question.measured.arrived:
        return
    recording = observation.recording
    copy = copied_from(recording, question.target)
    value = copy.origin if copy is not None else question.target
    call, others = calls_scored_instead(observation, evidence, value)
    if call < 0 or not others:
        return
    mine, theirs = observation.program.pass_of_call(call), observation.program.pass_of_call(others[-1])
    captured, scored = (
        recording.site_span(recording.calls[mine].site),
        recording.site_span(recording.calls[theirs].site),
    )
    place, label = scored or captured, "the score comes from this forward"
    if captured is not None and captured == scored:
        place, label = _kept_since(observation, question, value, theirs) or (
            place,
            "an earlier run of this line is meant too",
        )
    yield finding(
        "stale-activation",
        "stale",
        f"the activation of `{evidence.target}` comes from another forward than {evidence.score}",
        place,
        label=label,
        annotations=(
            *(
                ((scored, "one run of this line makes the activation, a later one the score"),)
                if captured == scored
                else ((scored, "the score comes from this forward"), (captured, "the activation comes from this one"))
            ),
            (recording.site_span(question.site), "both meet here"),
        ),
        notes=(
            (
                "each forward makes its own tensors and its own graph, also with the same input: autograd finds no way "
                "from one to the other"
            ),
        ),
        helps=(
            "run the model once, and take both the score and the activation from that run",
            "or register the hook before, and remove it after, the forward that makes the score",
        ),
        **_common(question, evidence),  # type: ignore[arg-type]
    )


def _kept_since(observation: Observation, question: Question, value: int, scored: int) -> tuple[SourceSpan, str] | None:
    """One line makes both forwards, as in a loop: look at what keeps the old activation, or takes it from a list."""
    recording = observation.recording
    hook = hook_that_stored(observation, value)
    site = recording.site_span(question.site)
    if hook is not None and 0 <= hook.removed_at_call <= scored:
        removed = recording.site_span(hook.removed_site)
        if removed is not None:
            return removed, "the hook is taken off here: what comes later is not captured"
    if hook is not None:
        place = place_of_keeping(hook, 2) or recording.site_span(hook.site)
        kept = (place, keeps_all(hook)) if place is not None else None
    else:
        kept = kept_under(site)
    if kept is None:
        made = asked_name_made(site)
        return (made, "made by an earlier run") if made is not None else None
    if kept[1]:
        return (site, "takes the activation of an earlier forward") if site is not None else None
    return kept[0], "keeps what an earlier forward had stored"


def _rewritten(observation: Observation, question: Question, evidence: Evidence) -> Iterator[Finding]:
    found = is_rewritten(observation, question.target)
    if found is None:
        return
    recording = observation.recording
    operation, before = found
    hook = hook_that_stored(observation, before)
    call = recording.operations.call[operation]
    made = observation.program.modules[observation.program.call_modules[call]].made_at if call >= 0 else -1
    place = recording.site_span(hook.site) if hook is not None else recording.span_of(operation)
    yield finding(
        "inplace-modification",
        "wrong",
        f"the captured activation has been overwritten by `{recording.name_of(operation)}`",
        place,
        label="kept as it is, without a copy",
        annotations=(
            (recording.site_span(made), "this module changes its input in place"),
            (recording.span_of(operation), "overwritten here"),
        ),
        notes=(
            (
                "the tensor that the hook kept is changed in place afterwards: it now holds the later values, and its "
                "gradient is the gradient of the later values"
            ),
        ),
        helps=(
            "use `inplace=False` in the module that follows",
            "or keep a copy with its history: `output.clone()`, and return it",
        ),
        **_common(question, evidence),  # type: ignore[arg-type]
    )


def _overwritten(observation: Observation, question: Question, evidence: Evidence) -> Iterator[Finding]:
    """One call of a layer that ran several times in the same forward is asked for, and the others are not."""
    if not question.measured.arrived:
        return
    recording = observation.recording
    call, others = other_calls(observation, question.target, evidence.dependence.reaches)
    if call < 0:
        return
    here = observation.program.pass_of_call(call)
    same = [other for other in others if observation.program.pass_of_call(other) == here]
    asked = {*question.others, question.target}
    missing = [other for other in same if not asked & set(recording.calls[other].outputs)]
    hook = hook_that_stored(observation, question.target, _names_at(observation, question))
    if not missing or len(missing) < len(same) or hook is None or max(missing) > call:
        return
    if any(q.kind == "grad" and asked_in(q.inputs, recording, missing) for q in observation.program.backwards):
        return
    yield finding(
        "shared-layer-overwrite",
        "wrong",
        f"`{evidence.target}` runs {len(same) + 1} times in one forward, and only the last output was kept",
        place_of_keeping(hook, 2) or recording.site_span(hook.site),
        label="each call overwrites what the one before had stored",
        annotations=(
            (recording.site_span(hook.site), "the hook is registered here"),
            *((recording.site_span(recording.calls[o].site), "it also runs from here") for o in missing[:2]),
        ),
        notes=("the gradient is that of the last call; the share of the other calls is missing from it",),
        helps=("append each output to a list, and choose or add up the calls deliberately",),
        severity="error",
        **_common(question, evidence),  # type: ignore[arg-type]
    )


def asked_in(inputs: tuple[int, ...], recording: Recording, calls: list[int]) -> bool:
    """Whether the output of one of the calls was asked for as well."""
    return any(set(inputs) & set(recording.calls[call].outputs) for call in calls)


def _names_at(observation: Observation, question: Question) -> frozenset[str]:
    span = observation.recording.site_span(question.site)
    if span is None:
        return frozenset()
    line = source_line(span.path, span.line)
    words = "".join(c if c.isalnum() or c == "_" else " " for c in line).split()
    return frozenset(word for word in words if word.isidentifier())
