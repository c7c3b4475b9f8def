"""GF111: what an optimizer holds gets no gradient because the backward of a custom Function returns none for it."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.cause_texts import text_for
from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Help
from gradflow.recording.gradients import NodeFlow
from gradflow.recording.program.events import Backward
from gradflow.watch.finding import Finding
from gradflow.watch.observation import Observation

__all__ = ["told_where_it_is_lost"]

_APPLIED = ".apply"


def told_where_it_is_lost(
    observation: Observation, backward: Backward, values: tuple[int, ...], found: Finding
) -> Finding:
    """The finding that ``values`` never get a gradient, at the Function that ends it; as it was where none does."""
    if found.diagnostic.name != "no-gradient-at-step":
        return found
    recording = observation.recording
    ends = [flow for flow in backward.flows if _returns_none(observation, flow) and not flow.hides.isdisjoint(values)]
    if not ends or not frozenset(values).issubset(frozenset[int]().union(*(flow.hides for flow in ends))):
        return found
    end = ends[0]
    function = recording.name_of(end.operation).removesuffix(_APPLIED)
    applied, text = recording.span_of(end.operation), text_for("custom-function", recording.name_of(end.operation))
    place = end.backward_span or observation.program.backward_returns.get(function) or applied
    old = found.diagnostic
    others = (Annotation(span=applied, label="applied here"),) if applied is not None and applied != place else ()
    if old.location is not None:
        others = (*others, Annotation(span=old.location, label="the optimizer is given what stands before it"))
    return replace(
        found,
        cut_at=end.operation,
        diagnostic=replace(
            old,
            code=code_of("custom-function"),
            name="custom-function",
            message=f"{old.message}: the backward of `{function}` returns `None`",
            location=place,
            label="no gradient for this input",
            annotations=others,
            notes=(text.note, f"measured: a gradient comes in at `{end.name}`, none goes on"),
            helps=(
                *(Help(text=one) for one in text.helps),
                Help(text="if it is not to learn, leave it out of the optimizer"),
            ),
        ),
    )


def _returns_none(observation: Observation, flow: NodeFlow) -> bool:
    if not flow.is_end or flow.operation < 0 or not flow.incoming:
        return False
    is_custom = observation.recording.name_of(flow.operation).endswith(_APPLIED)
    return is_custom and all(magnitude is None for magnitude in flow.outgoing)
