"""What the rules of ``gradflow check`` find, with the words that fit a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnosing import diagnose
from gradflow.diagnose.diagnostic import Diagnostic, Help
from gradflow.diagnose.own_line import operation_of
from gradflow.diagnose.verdict import verdict_of
from gradflow.location import SourceSpan
from gradflow.probe.evidence import Evidence
from gradflow.watch.facts.captures import hook_around
from gradflow.watch.facts.joins import how_joined
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.backward.shared_stop import for_this_loss_only
from gradflow.watch.rules.plain_input import at_plain_input

__all__ = ["engine_findings"]


def engine_findings(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """What the rules of ``gradflow check`` say, with the names that a program's hooks and calls give to it."""
    found = []
    for diagnostic in _without_part_of_round_trip(diagnose(evidence)):
        named = _in_the_programs_words(observation, evidence, diagnostic)
        named = _with_how_it_is_known(question, evidence, named)
        named = for_this_loss_only(observation, question, evidence, named)
        named = at_plain_input(observation, question, named)
        named = _of_all(question, evidence, named)
        # what it hides besides the one that was asked for
        named = replace(named, hides=tuple(name for name in named.hides if name != evidence.target))
        verdict = verdict_of(evidence)
        if named.name == "graph-freed" and question.error:
            verdict = "error"
        found.append(
            Finding(
                diagnostic=named,
                verdict=verdict,
                target=evidence.target,
                is_parameter=evidence.kind == "parameter",
                score=evidence.score,
                rank=0 if question.error else 1,
                operation=question.operation,
                cut_at=operation_of(observation.recording, named, (evidence,)),
                question=question,
                source=_source_of(question, evidence),
            )
        )
    return tuple(found)


def _source_of(question: Question, evidence: Evidence) -> int:
    """Where the path that is shown begins, of several values that were to get a gradient."""
    if question.target >= 0:
        return question.target
    values = evidence.dependence.way[:1] or evidence.recording.layer_values.get(evidence.target, ())[:1]
    return next(iter(values), -1)


def _of_all(question: Question, evidence: Evidence, diagnostic: Diagnostic) -> Diagnostic:
    """Of whatever backward was to reach one is named, and how many there are beside it."""
    others = len(evidence.recording.layer_values.get(evidence.target, ())) - 1
    if question.target >= 0 or others < 1:
        return diagnostic
    name = f"`{evidence.target}`"
    message = diagnostic.message.replace(name, f"{name} and {others:,} more", 1)
    return replace(diagnostic, message=message)


def _without_part_of_round_trip(diagnostics: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """``x.detach().cpu().numpy()`` is one step: without ``detach`` it would leave torch all the same."""
    leaving = [one.location for one in diagnostics if one.name == "numpy-roundtrip" and one.location is not None]
    return tuple(
        one for one in diagnostics if one.name != "detach" or not any(_begins(one.location, whole) for whole in leaving)
    )


def _begins(part: SourceSpan | None, whole: SourceSpan) -> bool:
    """Whether both are the same expression, or the first one is what the second one starts with."""
    return (
        part is not None
        and (part.path, part.line, part.column) == (whole.path, whole.line, whole.column)
        and part.column is not None
        and (part.end_line or 0, part.end_column or 0) <= (whole.end_line or 0, whole.end_column or 0)
    )


def _in_the_programs_words(observation: Observation, evidence: Evidence, diagnostic: Diagnostic) -> Diagnostic:
    recording = observation.recording
    if diagnostic.module == evidence.target and not any(call.module == diagnostic.module for call in recording.calls):
        diagnostic = replace(diagnostic, module="")  # a tensor, named after the program's words
    for group in evidence.dependence.cuts:
        operation = group.leave if group.leave >= 0 else group.operation
        if recording.span_of(operation) != diagnostic.location:
            continue
        if recording.name_of(operation) == "autograd.grad":
            return replace(
                diagnostic,
                code=code_of("graph-freed"),
                name="graph-freed",
                message="a gradient is differentiated again, and it was computed without a graph of its own",
                label="without `create_graph=True` the result has no history",
                notes=("the first derivative is a new tensor without history, unless autograd is told to record it",),
                helps=(Help(text="pass `create_graph=True` here"),),
            )
        if group.cause == "detach" and hook_around(observation, operation) is not None:
            return replace(diagnostic, code=code_of("hook-detach"), name="hook-detach")
    return diagnostic


def _with_how_it_is_known(question: Question, evidence: Evidence, diagnostic: Diagnostic) -> Diagnostic:
    """Say what a way through NumPy or Python numbers rests on, where nothing proves it."""
    places = {evidence.recording.span_of(bridge.leave): bridge for bridge in evidence.bridges}
    bridge = places.get(diagnostic.location)
    if bridge is None or not how_joined(bridge):
        return diagnostic
    # that no gradient can come is certain of a score without any history, and else as uncertain as the way itself
    backward = question.backward
    is_certain = not backward.roots_require_grad or backward.root_is_leaf or bridge.how != "order"
    return replace(
        diagnostic,
        notes=(*diagnostic.notes, how_joined(bridge)),
        severity=diagnostic.severity if is_certain else "warning",
    )
