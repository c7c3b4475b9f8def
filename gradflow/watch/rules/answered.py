"""GF209, GF303, GF402 to GF407: a gradient came that is zero, not finite, a sum, or of other positions."""

from __future__ import annotations

from gradflow.probe.evidence import Evidence
from gradflow.torch_facts.operations.queries import has
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.bad_numbers import gradient_is_bad
from gradflow.watch.rules.nothing_left import gradient_is_nothing

__all__ = ["a_gradient_came", "position_not_read"]


def a_gradient_came(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """Look at its values."""
    measured = question.measured
    if not measured.is_finite:
        return gradient_is_bad(observation, question, evidence)
    if measured.is_zero and question.backward.seed_is_zero:
        return (_seeded_with_zeros(observation, question, evidence),)
    if measured.is_zero or evidence.is_cancelled:
        return gradient_is_nothing(observation, question, evidence)
    return (*_summed_up(observation, question, evidence), *_position(observation, question, evidence))


def _seeded_with_zeros(observation: Observation, question: Question, evidence: Evidence) -> Finding:
    """Whatever the network is, nothing comes of a pass that begins with zeros."""
    argument = "gradient" if question.backward.kind == "backward" else "grad_outputs"
    return finding(
        "zero-multiplier",
        "zero",
        f"the gradient at `{evidence.target}` is zero because this backward begins with zeros",
        observation.recording.site_span(question.backward.site),
        label=f"`{argument}` holds nothing but zeros",
        annotations=((observation.recording.site_span(question.site), "looked at here"),),
        notes=(f"`{argument}` is what the gradient is multiplied with at its beginning; for a sum it is ones",),
        helps=("begin with `torch.ones_like(...)`, or reduce to one number: `y.sum().backward()`",),
        target=evidence.target,
        score=evidence.score,
        operation=question.operation,
    )


def _summed_up(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """Read after each of several backward passes, without being cleared in between."""
    read, number = question.read, question.backward_number
    if read is None or question.target not in question.backward.kept or _is_stepped_along(observation, question):
        return ()
    earlier = [
        other
        for other in observation.program.reads
        if other.value == question.target
        and other.operation < question.operation
        and 0 < other.backwards <= number
        and other.measured.arrived
        and not other.is_guard
        # never cleared since: reading once per step, after several backward passes of that step, is as it should be
        and all(_keeps(observation, question.target, between) for between in range(other.backwards, number + 1))
    ]
    if not earlier:
        return ()
    return (_accumulated(observation, question, evidence.target, question.backward.site),)


def _is_stepped_along(observation: Observation, question: Question) -> bool:
    """Whether the sum goes on, uncleared, to a step of an optimizer: it is what that step is to be along.

    Sums over several steps are another matter, which ``gradients_pile_up`` tells.
    """
    target, now = question.target, question.operation
    steps = [
        operation
        for optimizer in observation.program.optimizers
        if target in optimizer.parameters
        for _, operation in optimizer.steps
        if operation >= now
    ]
    between = [
        b for b in observation.program.backwards if steps and now <= b.operation < min(steps) and target in b.arrived
    ]
    return bool(steps) and all(target in backward.kept for backward in between)


def _keeps(observation: Observation, value: int, number: int) -> bool:
    backward = observation.program.backwards[number]
    return value in backward.kept or backward.kind == "grad"


def _accumulated(observation: Observation, question: Question, target: str, site: int) -> Finding:
    return finding(
        "grad-accumulated",
        "wrong",
        f"`{target}.grad` is the sum of several backward passes, not the gradient of the last one",
        observation.recording.site_span(site),
        label="adds to what is there already",
        annotations=((observation.recording.site_span(question.site), "read here: the sum, not the last gradient"),),
        notes=("`backward()` adds to `.grad`; nothing has cleared it since the pass before",),
        helps=(
            "clear it before each backward: `model.zero_grad()`, `optimizer.zero_grad()` or `x.grad = None`",
            "or use `torch.autograd.grad(score, tensor)`, which returns the gradient and adds nothing up",
        ),
        target=target,
        is_parameter=True,
        operation=question.operation,
    )


def _position(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """The gradient is there, but the part that the program takes of it is zero throughout."""
    if question.backward.kind != "grad" and (question.read is None or question.read.is_leaf):
        return ()
    results = set(question.backward.result_values) if question.read is None else {question.read.result}
    zero = [site for value, site in observation.program.zero_parts if value in results]
    return (position_not_read(observation, question, evidence, zero[0]),) if zero else ()


def position_not_read(observation: Observation, question: Question, evidence: Evidence, site: int) -> Finding:
    """At ``site`` a part of the gradient is taken in which there is nothing: tell where the score reads another one."""
    recording = observation.recording
    way = evidence.dependence.way
    reading = next(
        (
            producer
            for value in way
            if (producer := recording.values.producer[value]) >= 0 and has(recording.name_of(producer), "selects")
        ),
        -1,
    )
    return finding(
        "position-not-read",
        "zero",
        f"the part of the gradient at `{evidence.target}` that is looked at is zero: the score does not read it",
        recording.span_of(reading) if reading >= 0 else recording.site_span(question.backward.site),
        label="only other positions are read from here on",
        annotations=((recording.site_span(site), "this part is zero throughout"),),
        notes=("the rest of the gradient is not zero, so the path itself is whole",),
        helps=("make the score from the same sample or position as the one that is looked at",),
        target=evidence.target,
        score=evidence.score,
        operation=question.operation,
    )
