"""GF205: ``.grad`` is read of a tensor for which autograd does not keep it."""

from __future__ import annotations

from gradflow.probe.evidence import Evidence
from gradflow.recording.program.events import GradRead
from gradflow.source.asserted import asserts_absence
from gradflow.watch.facts.evidence import evidence_for
from gradflow.watch.facts.naming.names import read_of
from gradflow.watch.facts.questions import Question, question_of
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["grad_of_non_leaf", "guarded_grad_of_non_leaf"]


def grad_of_non_leaf(observation: Observation, question: Question, evidence: Evidence) -> Finding | None:
    """``.grad`` of a computed tensor is not filled unless it was told to keep it."""
    read = question.read
    if read is not None and _is_kept_since_later(observation, question) and evidence.dependence.score_carries:
        return _kept_too_late(observation, question, evidence)
    if read is None or not _is_never_filled(read):
        return None
    recording = observation.recording
    producer = recording.values.producer[question.target]
    made = recording.span_of(producer) if producer >= 0 else None
    name = read_of(observation, read) or evidence.target
    return finding(
        "non-leaf-grad",
        "connected",
        f"`.grad` is read of `{name}`, which is computed and not a leaf: autograd fills it for leaves only",
        recording.site_span(question.site),
        label="always `None` here" if read.is_guard else "a computed tensor keeps no gradient",
        annotations=((made, f"computed here (`{recording.name_of(producer)}`)" if producer >= 0 else ""),),
        notes=_whether_it_passes(observation, question, evidence),
        helps=(
            "call `.retain_grad()` on it before backward"
            if evidence.dependence.score_depends
            else "call `.retain_grad()` on it and run backward on what is computed from it, before it is read",
            *_of_its_original(observation, producer),
            "if it was to be a leaf, set `requires_grad` after the last step that makes it (`.to(device)`)",
        ),
        severity="warning" if read.is_guard else "error",
        target=evidence.target,
        score=evidence.score,
        operation=question.operation,
    )


def _whether_it_passes(observation: Observation, question: Question, evidence: Evidence) -> tuple[str, ...]:
    """That a gradient does takes a backward that went by there; of an edge of the graph it is not known which one."""
    if evidence.dependence.score_carries:
        return ("the gradient does pass through it; it is not stored, to save memory",)
    has_all = observation.recording.completeness.has_all("backward passes", of=(question.target,))
    if evidence.dependence.score_depends or question.score < 0 or not has_all:
        return ()
    return ("seen: no backward before this read began at anything that is computed from it",)


def _is_kept_since_later(observation: Observation, question: Question) -> bool:
    """Whether ``retain_grad()`` was first called when the backward that was to fill ``.grad`` had run."""
    read = question.read
    if read is None or read.is_leaf or not read.retains_grad or read.measured.arrived:
        return False
    since, _ = observation.program.retained.get(question.target, (0, -1))
    return since > question.backward_number


def _kept_too_late(observation: Observation, question: Question, evidence: Evidence) -> Finding:
    recording = observation.recording
    # who is given what a later pass brings may have told it to for that one
    is_given_later = any(read.value == question.target and read.measured.arrived for read in observation.program.reads)
    place = recording.site_span(observation.program.retained[question.target][1])
    name = (read_of(observation, question.read) if question.read is not None else "") or evidence.target
    return finding(
        "non-leaf-grad",
        "connected",
        f"`.grad` is read of `{name}`, which is told to keep its gradient only when backward has run",
        place or recording.site_span(question.site),
        label="too late: the gradient has passed",
        annotations=(
            (recording.site_span(question.backward.site), "the gradient passes through it here, and is not kept"),
            (recording.site_span(question.site), "`None` is read here"),
        ),
        notes=("`retain_grad()` keeps what later backward passes bring",),
        helps=("call `.retain_grad()` before backward",),
        severity="info" if is_given_later else "error",
        target=evidence.target,
        score=evidence.score,
        operation=question.operation,
    )


def _of_its_original(observation: Observation, producer: int) -> tuple[str, ...]:
    """Of a parametrized weight: what it is computed from, by name."""
    recording = observation.recording
    call = recording.operations.call[producer] if producer >= 0 else -1
    while call >= 0 and not f".{recording.calls[call].module}".rpartition(".")[0].endswith(".parametrizations"):
        call = recording.calls[call].parent
    inside = f"{recording.calls[call].module}." if call >= 0 else ""
    names = sorted(name for _, name in recording.leaf_names.values() if inside and name.startswith(inside))
    return (f"it is parametrized: read the gradient of {', '.join(f'`{name}`' for name in names)}",) if names else ()


def guarded_grad_of_non_leaf(observation: Observation) -> tuple[Finding, ...]:
    """A condition on ``x.grad is None`` that is always decided in the same way, because it only ever sees non-leaves.

    Where the same place also sees leaves, as in a loop over all sorts of tensors, the condition has its use.
    """
    found: dict[int, Finding] = {}
    for site in dict.fromkeys(read.site for read in observation.program.reads if read.is_guard):
        reads = [read for read in observation.program.reads if read.site == site]
        if not all(read.is_guard and _is_never_filled(read) for read in reads):
            continue
        if asserts_absence(observation.recording.site_span(site)):
            continue  # it is known there
        for read in reads:
            question = question_of(observation, read)
            if question is None or site in found:
                continue
            evidence = evidence_for(observation, question)
            one = grad_of_non_leaf(observation, question, evidence)
            if one is not None and evidence.dependence.score_carries:
                found[site] = one
    return tuple(found.values())


def _is_never_filled(read: GradRead) -> bool:
    return not read.is_leaf and read.requires_grad and not read.retains_grad and not read.measured.arrived
