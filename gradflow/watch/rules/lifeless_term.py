"""GF401: a loss is a sum, and one of its terms has no history: it changes the number, and no gradient.

Stops are often meant, but hardly in a whole term of the very loss that is differentiated: nothing would be lost
by leaving it out. Left alone are terms that were detached as one number or computed without recording, as for a log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gradflow.diagnose.codes import code_of
from gradflow.graph.cut_group import CutGroup
from gradflow.graph.dependence import analyse
from gradflow.location import is_installed
from gradflow.probe.evidence import Evidence
from gradflow.recording import Recording
from gradflow.recording.gradients import Measured
from gradflow.torch_facts.operations.queries import has
from gradflow.watch.facts.evidence import evidence_for
from gradflow.watch.facts.leaves import leaves_behind
from gradflow.watch.facts.naming.names import score_text
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.engine import engine_findings

__all__ = ["term_has_no_history"]


def term_has_no_history(observation: Observation) -> tuple[Finding, ...]:
    """Look at the terms of each loss, of a loop's only those of its first turn."""
    found: list[Finding] = []
    seen: set[int] = set()
    for number, backward in enumerate(observation.program.backwards):
        if backward.kind != "backward" or backward.error or not backward.roots_require_grad or backward.site in seen:
            continue
        seen.add(backward.site)
        for term in (term for root in backward.roots for term in _lifeless(observation.recording, root)):
            question = Question(
                backward=backward,
                backward_number=number,
                score=term,
                target=-1,
                measured=Measured(arrived=False),
                site=backward.site,
                operation=backward.operation,
            )
            found += _explained(observation, question)
    return tuple(found)


def _lifeless(recording: Recording, root: int) -> Iterator[int]:
    """The terms of a sum that do not require grad, each without the numbers that it is multiplied with."""
    waiting, seen = [(root, False)], set[tuple[int, bool]]()
    made = recording.values.producer[root]
    while waiting:
        value, is_term = one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        producer = recording.values.producer[value]
        if producer < 0 or recording.operations.mode[producer] != 0 or recording.values.shape[value]:
            continue
        name, inputs = recording.name_of(producer), recording.inputs_of(producer)
        if has(name, "sums"):
            waiting.extend((one, len(inputs) > 1 or is_term) for one in inputs)
        elif has(name, "product", "divides", "negates") and len(inputs) == 1:
            waiting.append((inputs[0], is_term))
        elif is_term and not recording.requires_grad_of(value, at=made):
            yield value


def _explained(observation: Observation, question: Question) -> tuple[Finding, ...]:
    # of a part that was frozen at the time there was nothing to record
    made = observation.recording.values.producer[question.score]
    leaves = leaves_behind(observation, question, trainable=True, at=made)
    if not leaves:
        return ()
    evidence = evidence_for(observation, question, leaves)
    if not evidence.dependence.needed or any(
        _is_meant(evidence, group.operation) or _is_half_of_a_pair(evidence, question, group)
        for group in evidence.dependence.cuts
    ):
        return ()
    loss = score_text(observation, question.backward)
    place = observation.recording.span_of(observation.recording.values.producer[question.score])
    line = f" (made at line {place.line})" if place is not None else ""
    first = engine_findings(observation, question, evidence)[:1]
    # a copy that a hook has kept is the more precise thing to say
    name = "hook-detach" if any(one.diagnostic.name == "hook-detach" for one in first) else "partial-detach"
    return tuple(
        replace(
            one,
            verdict="wrong",
            score=loss,
            diagnostic=replace(
                one.diagnostic,
                code=code_of(name),
                name=name,
                message=f"one term of {loss} has no history, so that it changes the loss and no gradient",
                notes=(*one.diagnostic.notes, f"the other terms carry gradient; this one{line} adds a number only"),
            ),
        )
        for one in first
    )


def _is_meant(evidence: Evidence, operation: int) -> bool:
    """A single number that was detached, a part that ran without recording, and what a library does."""
    recording = evidence.recording
    inputs = recording.inputs_of(operation)
    is_number = recording.name_of(operation) != "autograd.grad" and (
        not inputs or not recording.values.shape[inputs[0]]
    )
    place = recording.span_of(operation)
    return is_number or recording.operations.mode[operation] != 0 or place is None or is_installed(place.path)


def _is_half_of_a_pair(evidence: Evidence, question: Question, group: CutGroup) -> bool:
    """Whether another term stops the gradient at the other side: ``d(q, z.detach()) + d(z, q.detach())``.

    Each of the two is to move one side. Where the other side is plain data, as in a test of a quantiser, its term moves
    nothing, and without the stop it would move the wrong one.
    """
    recording = evidence.recording
    if not has(recording.name_of(group.operation), "detaches") or not question.backward.roots:
        return False
    loss = analyse(replace(recording, score=question.backward.roots[0]), (group.value,))
    term = analyse(replace(recording, score=question.score), (group.value,))
    return any(
        term.reaches[source] and not term.depends[source] and loss.reaches[output] and not term.reaches[output]
        for operation in range(len(recording))
        if has(recording.name_of(operation), "detaches")
        for source in recording.inputs_of(operation)[:1]
        for output in recording.outputs_of(operation)
    )
