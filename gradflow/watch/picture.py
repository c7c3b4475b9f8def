"""The graph between one gradient's score and what it was asked of, out of the recording of a whole program."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.diagnose.path_step import step_of
from gradflow.graph.build import build_flow_graph
from gradflow.graph.dependence import Dependence
from gradflow.graph.flow_graph import FlowGraph
from gradflow.probe.evidence import Evidence
from gradflow.recording import Recording
from gradflow.watch.facts.evidence import evidence_for
from gradflow.watch.facts.leaves import is_leaf_value
from gradflow.watch.facts.naming.names import name_of_value, score_text
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding
from gradflow.watch.observation import Observation

__all__ = ["draw_question", "with_own_path"]


def draw_question(observation: Observation, question: Question, source: int) -> FlowGraph:
    """What leads to the score, and what was made from ``source`` before the gradient was asked for.

    Of a parameter, or of another leaf that every step of a program uses, only what leads to this very score.
    """
    evidence = evidence_for(observation, question, (source,))
    dependence = _of_this_step(evidence, question, is_leaf=is_leaf_value(observation.recording, source))
    return build_flow_graph(evidence.recording, dependence, evidence.target)


def with_own_path(observation: Observation, found: Finding) -> Diagnostic:
    """What a finding says, with the path from its score to its target: a report draws only its first graph."""
    if found.question is None or found.question.target < 0 or found.diagnostic.path:
        return found.diagnostic
    score = score_text(observation, found.question.backward).strip("`")
    target, _ = name_of_value(observation, found.question.target)
    nodes = draw_question(observation, found.question, found.question.target).path()
    return replace(found.diagnostic, path=tuple(step_of(node, score=score, target=target) for node in nodes))


def _of_this_step(evidence: Evidence, question: Question, *, is_leaf: bool) -> Dependence:
    dependence, recording = evidence.dependence, evidence.recording
    depends = bytearray(dependence.depends)
    last = question.backward.operation
    for value, flag in enumerate(depends):
        if flag and not dependence.reaches[value] and (is_leaf or _is_later(recording, value, last)):
            depends[value] = 0
    return replace(dependence, depends=depends)


def _is_later(recording: Recording, value: int, operation: int) -> bool:
    return recording.values.producer[value] >= operation
