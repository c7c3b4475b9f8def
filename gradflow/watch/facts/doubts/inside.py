"""What is lost, or may be read, inside compiled code and TorchScript, of which only the call was recorded."""

from __future__ import annotations

from collections.abc import Sequence

from gradflow.graph.cut_group import NOT_RECORDED
from gradflow.graph.dependence import Dependence, analyse
from gradflow.recording.opaque import COMPILED, OPAQUE
from gradflow.source_place import place
from gradflow.watch.facts.flags import scored
from gradflow.watch.facts.naming.names import name_of_value, score_text
from gradflow.watch.facts.questions import Question
from gradflow.watch.observation import Observation

__all__ = ["doubt_about_inside", "may_read", "where_it_runs"]


def doubt_about_inside(observation: Observation, question: Question, values: Sequence[int]) -> tuple[str, str]:
    """Why it is not known what becomes of ``values`` on the way to a score, and in which kind of code; or empty."""
    if not observation.recording.opaque_calls:
        return "", ""
    dependence = analyse(scored(observation, question.score, tuple(values)), tuple(values))
    name, _ = name_of_value(observation, values[0])
    score = score_text(observation, question.backward)
    lost, source = _lost_at(observation, dependence)
    if lost >= 0 and source in observation.program.held_inside:
        return _may_be_read(observation, score, source, lost)
    if lost >= 0:
        what = observation.recording.name_of(lost)
        where = where_it_runs(observation, lost)
        return f"what takes `{name}` out of the graph of {score}, because it happens inside the {where}", what
    if dependence.score_depends:
        return "", ""
    for value in values:
        row = may_read(observation, dependence, value)
        if row >= 0:
            return _may_be_read(observation, score, value, row)
    row = _may_write(observation, dependence)
    if row >= 0:
        where = f"the {where_it_runs(observation, row)} is given both and writes to what it is given"
        what = f"whether {score} was computed from `{name}`, because {where}"
        return what, observation.recording.name_of(row)
    return "", ""


def _may_be_read(observation: Observation, score: str, value: int, row: int) -> tuple[str, str]:
    name, _ = name_of_value(observation, value)
    where = f"the {where_it_runs(observation, row)} may read it, and nothing inside is recorded"
    return f"whether {score} was computed from `{name}`, because {where}", observation.recording.name_of(row)


def may_read(observation: Observation, dependence: Dependence, value: int) -> int:
    """The call on the way to the score of code that holds a value, or may reach it from where it stands; -1 for none.

    TorchScript reaches the parameters of its own module alone, compiled code what any function of Python reaches. Of
    what is held and was not seen being read, a call counts that the score is not computed from, too.
    """
    recording = observation.recording
    held = observation.program.held_inside.get(value, -1)
    made = max(recording.values.producer[value], observation.program.made_when.get(value, -1))
    for row in recording.opaque_calls:
        may = row > made and (held >= 0 or recording.name_of(row) == COMPILED)
        if may and any(dependence.reaches[output] for output in recording.outputs_of(row)):
            return row
    is_read = held >= 0 and any(row >= held for row in recording.readers.get(value, ()))
    return -1 if is_read else held


def _may_write(observation: Observation, dependence: Dependence) -> int:
    """A call that wrote, and is given what depends on the target and what the score is computed from; -1 for none."""
    for row in sorted(observation.program.written_inside):
        given = observation.recording.inputs_of(row)
        if any(dependence.depends[value] for value in given) and any(dependence.reaches[value] for value in given):
            return row
    return -1


def where_it_runs(observation: Observation, row: int) -> str:
    """The kind of code that a call runs, and where: ``TorchScript that runs at net.py:7``."""
    span = observation.recording.span_of(row)
    kind = OPAQUE[observation.recording.name_of(row)]
    return kind + (f" that runs at {place(span)}" if span is not None else "")


def _lost_at(observation: Observation, dependence: Dependence) -> tuple[int, int]:
    """The first call whose result has no history though what it reads has, with that; -1 for none."""
    if not dependence.score_depends or dependence.score_carries:
        return -1, -1
    for group in dependence.needed:
        if group.cause == NOT_RECORDED and observation.recording.name_of(group.operation) in OPAQUE:
            return group.operation, group.value
    return -1, -1
