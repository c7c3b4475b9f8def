"""The graph between one gradient's score and what it was asked of, out of the recording of a whole program."""

from __future__ import annotations

from dataclasses import replace

from gradflow.graph.build import build_flow_graph
from gradflow.graph.dependence import Dependence
from gradflow.graph.flow_graph import FlowGraph
from gradflow.probe.evidence import Evidence
from gradflow.trace.data import Trace
from gradflow.watch.events import Observation
from gradflow.watch.facts.evidence import evidence_for
from gradflow.watch.facts.leaves import is_leaf_value
from gradflow.watch.facts.questions import Question

__all__ = ["draw_question"]


def draw_question(observation: Observation, question: Question) -> FlowGraph:
    """What leads to the score, and what was made from the target before the gradient was asked for.

    Of a parameter, or of another leaf that every step of a program uses, only what leads to this very score.
    """
    evidence = evidence_for(observation, question)
    dependence = _of_this_step(evidence, question, is_leaf=is_leaf_value(observation.trace, question.target))
    return build_flow_graph(evidence.trace, dependence, evidence.target)


def _of_this_step(evidence: Evidence, question: Question, *, is_leaf: bool) -> Dependence:
    dependence, trace = evidence.dependence, evidence.trace
    depends = bytearray(dependence.depends)
    last = question.backward.operation
    for value, flag in enumerate(depends):
        if flag and not dependence.reaches[value] and (is_leaf or _is_later(trace, value, last)):
            depends[value] = 0
    return replace(dependence, depends=depends)


def _is_later(trace: Trace, value: int, operation: int) -> bool:
    return trace.values.producer[value] >= operation
