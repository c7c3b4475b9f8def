"""GF305: no gradient ever comes to what an optimizer holds, and some come to what no optimizer holds.

That an optimizer holds a part only is often meant, and that gradients pass through what none holds as well: so it is
where a generator is to learn from a classifier. What tells is that nothing of it gets any, and that what does is not
computed from it: a student beside its teacher, a tensor that was assigned anew after the optimizer was made.
"""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.diagnostic import Annotation, Help
from gradflow.graph.dependence import Dependence, analyse
from gradflow.location import SourceSpan
from gradflow.recording.program.events import Backward, Optimizer
from gradflow.source_place import place
from gradflow.watch.facts.flags import scored
from gradflow.watch.facts.naming.names import name_of_value
from gradflow.watch.facts.unheld import leaves_moved_by_none, passes_between
from gradflow.watch.facts.writes import before_writes
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.optimizers.other_model import optimizer_of_another_model
from gradflow.watch.rules.optimizers.unheld import later_parameters_are_unheld
from gradflow.watch.rules.parameters import optimizer_holds_a_copy, optimizer_is_stale

__all__ = ["optimizer_is_never_reached", "with_what_is_left_to_nobody"]

_TIMES = 2


def optimizer_is_never_reached(observation: Observation) -> tuple[Finding, ...]:
    """For each optimizer without a gradient at any of several steps, where others have gradients and no optimizer."""
    has_all = observation.recording.completeness.has_all
    found = []
    for optimizer in observation.program.optimizers:
        if not has_all("backward passes", "steps", of=optimizer.parameters):
            continue
        others = _left_to_nobody(observation, optimizer)
        if not others or _is_told(observation, optimizer):
            continue
        last = _passes(observation, optimizer)[-1]
        dependence = analyse(scored(observation, last.score, optimizer.parameters), optimizer.parameters)
        if dependence.score_depends:
            behind = _behind(observation, dependence)
            beside = tuple(value for value in others if value in last.arrived and value not in behind)
        else:  # a part that is not used, or one that another took the place of
            beside = tuple(value for value in others if _made(observation, optimizer, value)[1])
        if beside:
            found.append(_told(observation, optimizer, dependence, beside))
    return tuple(found)


def _is_told(observation: Observation, optimizer: Optimizer) -> bool:
    """Whether it is told of this optimizer already that what it holds was replaced, copied, or given to another too."""
    told = (
        *optimizer_is_stale(observation),
        *optimizer_holds_a_copy(observation),
        *later_parameters_are_unheld(observation),
        *optimizer_of_another_model(observation),
    )
    made = observation.recording.site_span(optimizer.site)
    places = (one.span for found in told for one in found.diagnostic.annotations)
    return made is not None and made in (*(one.diagnostic.location for one in told), *places)


def with_what_is_left_to_nobody(observation: Observation, found: Finding, optimizer: Optimizer) -> Finding:
    """Beside what an optimizer holds without a gradient: where gradients come that no optimizer steps along.

    Where a part of it does get gradients that is often meant, but for a leaf that was made after the optimizer.
    """
    if not observation.recording.completeness.has_all("backward passes", "steps", of=optimizer.parameters):
        return found
    others = _left_to_nobody(observation, optimizer)
    told, since = found.diagnostic, optimizer.since - 1
    if others:
        note = f"gradients arrive at {_shown(observation, others)}, which no optimizer that was seen holds"
        way_out = Help(text=f"or, if that is what is to learn, give it to `{optimizer.type_name}`")
        return replace(found, diagnostic=replace(told, notes=(*told.notes, note), helps=(*told.helps, way_out)))
    for value in leaves_moved_by_none(observation, since, _end(observation, optimizer)) if optimizer.filled else ():
        made, is_later = _made(observation, optimizer, value)
        if made is not None and is_later:
            name = _shown(observation, (value,))
            note = f"gradients arrive at {name}, which was made after the optimizer, and which none that was seen holds"
            shown = (*told.annotations, Annotation(span=made, label=f"{name} is made here, after the optimizer"))
            return replace(found, diagnostic=replace(told, notes=(*told.notes, note), annotations=shown))
    return found


def _left_to_nobody(observation: Observation, optimizer: Optimizer) -> tuple[int, ...]:
    """What gets gradients while an optimizer steps several times in vain; none where one came for it, or may have."""
    if optimizer.step_count < _TIMES or optimizer.filled or not optimizer.trainable:
        return ()
    passes = _passes(observation, optimizer)
    if any(one.unseen or not set(optimizer.parameters).isdisjoint(one.arrived) for one in passes):
        return ()
    return leaves_moved_by_none(observation, optimizer.since - 1, _end(observation, optimizer))


def _end(observation: Observation, optimizer: Optimizer) -> int:
    # a closure runs inside the step, after the moment that is noted
    return len(observation.recording) if optimizer.takes_closure else optimizer.last_step[1]


def _passes(observation: Observation, optimizer: Optimizer) -> list[Backward]:
    return list(passes_between(observation, optimizer.since - 1, _end(observation, optimizer)))


def _behind(observation: Observation, dependence: Dependence) -> set[int]:
    """What takes part in what is computed from the optimizer's own, as a classifier does of what is generated."""
    recording, depends = observation.recording, dependence.depends
    together = (recording.inputs_of(row) for row in range(len(recording)))
    return {value for inputs in together if any(depends[one] for one in inputs) for value in inputs}


def _shown(observation: Observation, values: tuple[int, ...]) -> str:
    name = name_of_value(observation, values[0])[0]
    # what has no name is described, and a description is no code
    return (name if " " in name else f"`{name}`") + (f" and {len(values) - 1:,} more" if values[1:] else "")


def _told(observation: Observation, optimizer: Optimizer, dependence: Dependence, others: tuple[int, ...]) -> Finding:
    recording, name = observation.recording, f"`{optimizer.type_name}`"
    first, target = _shown(observation, others[:1]), name_of_value(observation, others[0])[0]
    made, is_later = _made(observation, optimizer, others[0])
    lost = _lost_at(observation, dependence)
    notes = ["an optimizer passes over a parameter without a gradient: what it holds stays as it is"]
    if lost is not None:
        notes.append(f"what it holds does go into the score, and its gradient is lost at {place(lost)}")
    return finding(
        "optimizer-stale-params",
        "connected",
        f"{name} had no gradient at any of {optimizer.step_count:,} steps, and gradients arrive at "
        f"{_shown(observation, others)}, which no optimizer that was seen holds",
        recording.site_span(optimizer.site) or recording.site_span(optimizer.last_step[0]),
        label="is given its parameters here" if optimizer.site >= 0 else "steps here",
        annotations=(
            (made if is_later else None, f"{first} is made here, after the optimizer"),
            (recording.site_span(optimizer.last_step[0]), "steps here on what it holds"),
        ),
        notes=tuple(notes),
        helps=(
            f"if {first} is to learn, give it to the optimizer: "
            + ("make the optimizer after it" if is_later else "the parameters of its model"),
        ),
        severity="warning",
        target=target,
        is_parameter=True,
        rank=2,
        operation=optimizer.operation,
    )


def _made(observation: Observation, optimizer: Optimizer, value: int) -> tuple[SourceSpan | None, bool]:
    """Where a leaf was made, and whether that is known to have been after the optimizer was."""
    recording = observation.recording
    value = before_writes(recording, value)
    if value in observation.program.made_at:
        return recording.site_span(observation.program.made_at[value]), observation.program.made_when.get(
            value, -1
        ) >= optimizer.operation
    producer = recording.values.producer[value]
    return (recording.span_of(producer), producer >= optimizer.operation) if producer >= 0 else (None, False)


def _lost_at(observation: Observation, dependence: Dependence) -> SourceSpan | None:
    recording = observation.recording
    if not dependence.needed:
        return None
    cut = dependence.needed[0]
    return recording.site_span(cut.site) if cut.site >= 0 else recording.span_of(cut.operation)
