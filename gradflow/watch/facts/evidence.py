"""The recording about one question in the form that the rules of ``gradflow check`` take."""

from __future__ import annotations

from dataclasses import replace

from gradflow.graph.cut_group import Bridge
from gradflow.graph.dependence import analyse
from gradflow.probe.evidence import Evidence
from gradflow.probe.source_state import source_state
from gradflow.watch.facts.flags import recording_at
from gradflow.watch.facts.joins import joins_of
from gradflow.watch.facts.leaves import is_leaf_value
from gradflow.watch.facts.naming.names import name_of_value, score_text
from gradflow.watch.facts.questions import Question
from gradflow.watch.observation import Observation

__all__ = ["evidence_for"]


def evidence_for(observation: Observation, question: Question, sources: tuple[int, ...] = ()) -> Evidence:
    """The recording about one question in the form that the rules of ``gradflow check`` take."""
    target = question.target
    values = sources or ((target,) if target >= 0 else ())
    base = recording_at(observation, values, question.backward_number)
    recording = replace(base, score=question.score)
    dependence = analyse(recording, values)
    bridges: tuple[Bridge, ...] = ()
    if dependence.exits and (question.measured.arrived or not dependence.score_depends):
        bridges = joins_of(observation, dependence, is_lost=_is_lost(question))
        if question.measured.arrived:
            # of a gradient that came, only what is proven can be said to be missing
            bridges = tuple(bridge for bridge in bridges if bridge.how == "numbers")
        if bridges:
            dependence = analyse(recording, values, bridges)
    # of several sources, the one that the way shown begins at
    shown = dependence.way[:1] or values[:1]
    name, kind = name_of_value(observation, shown[0]) if shown else ("the parameters", "parameter")
    recording = replace(recording, layer_values={name: values})
    is_leaf = target >= 0 and is_leaf_value(base, target)
    small = (question.measured.max_abs or 0.0) < 1e-6
    return Evidence(
        target=name,
        kind=kind,
        type_name="Parameter" if kind == "parameter" else "Tensor",
        score=score_text(observation, question.backward),
        recording=recording,
        dependence=dependence,
        source=source_state(recording, values),
        measured=(question.measured,),
        call_count=1,
        shape=tuple(base.values.shape[target]) if target >= 0 else None,
        is_trainable=not is_leaf or (target >= 0 and base.values.requires_grad[target]),
        flows=question.backward.flows,
        objective_span=base.site_span(question.backward.site),
        function_spans=observation.program.function_spans,
        bridges=bridges,
        is_cancelled=question.measured.arrived and small and any(flow.is_end for flow in question.backward.flows),
    )


def _is_lost(question: Question) -> bool:
    """Whether the score has no history at all, so that what it was computed from must have come another way."""
    return not question.backward.roots_require_grad or question.backward.root_is_leaf
