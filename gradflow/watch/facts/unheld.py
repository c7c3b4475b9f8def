"""Parameters at which gradients arrive, and which nothing moves: neither an optimizer nor the program itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gradflow.recording.program.events import Backward
from gradflow.torch_facts.operations.queries import has
from gradflow.watch.facts.watched import may_be_elsewhere
from gradflow.watch.facts.writes import written_by
from gradflow.watch.observation import Observation

__all__ = ["leaves_moved_by_none", "moved_by_none", "passes_between"]

_TIMES = 2


def passes_between(observation: Observation, since: int, end: int) -> Iterator[Backward]:
    """The calls of ``backward`` between two moments that did not raise."""
    for one in observation.program.backwards:
        if one.kind == "backward" and not one.error and since < one.operation <= end:
            yield one


def moved_by_none(observation: Observation, since: int, end: int, *, idle: bool = False) -> tuple[int, ...]:
    """Parameters of modules that got gradients between two moments, several times, and that nothing moves.

    With ``idle``, an optimizer that never steps does not count as one that holds them.
    """
    own = dict.fromkeys(value for module in observation.program.modules.values() for value in module.parameters)
    return _moved_by_none(observation, own, since, end, idle=idle)


def leaves_moved_by_none(observation: Observation, since: int, end: int) -> tuple[int, ...]:
    """The same of all leaves, also those of no module; the parameters of modules come first."""
    own = dict.fromkeys(value for module in observation.program.modules.values() for value in module.parameters)
    others = dict.fromkeys(value for one in passes_between(observation, since, end) for value in one.arrived)
    return _moved_by_none(observation, {**own, **others}, since, end)


def _moved_by_none(
    observation: Observation, values: Iterable[int], since: int, end: int, *, idle: bool = False
) -> tuple[int, ...]:
    if may_be_elsewhere(observation, "operations"):
        return ()  # the program itself may have moved them unseen
    holding = [
        optimizer for optimizer in observation.program.optimizers if optimizer.steps or optimizer.skipped or not idle
    ]
    held = {value for optimizer in holding for value in optimizer.parameters}
    passes = list(passes_between(observation, since, end))
    written, memory = _last_writes(observation), observation.recording.values.memory
    handed_out = _handed_out(observation)
    found = []
    for value in values:
        times = [one.operation for one in passes if one.arrived.get(value, (0.0, True))[0] > 0]
        # an optimizer that was not seen being made may hold it
        is_held = value in held or not observation.recording.completeness.has_all("optimizers", of=(value,))
        is_held = is_held or memory[value] in handed_out
        if not is_held and len(times) >= _TIMES and written.get(memory[value], -1) < times[0]:
            found.append(value)
    return tuple(found)


def _handed_out(observation: Observation) -> set[int]:
    """The memory that code outside of torch was given, as an array or a storage: it may move what is in it, unseen."""
    recording = observation.recording
    rows = (row for row in range(len(recording)) if has(recording.name_of(row), "exposes"))
    values = (value for row in rows for value in recording.inputs_of(row))
    return {recording.values.memory[value] for value in (*values, *recording.completeness.given_away)}


def _last_writes(observation: Observation) -> dict[int, int]:
    """When each memory was last written to: the program itself moves what is in it, as a loop without an optimizer."""
    recording = observation.recording
    memory = recording.values.memory
    return {memory[written]: row for row in range(len(recording)) for written in written_by(recording, row)}
