"""What of a program was not seen, for each kind of event: from what the observers noted that they could not see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from gradflow.record.program.log import Log
from gradflow.record.program.optimizers import held_by
from gradflow.record.recorder import Recorder
from gradflow.recording import Recording
from gradflow.recording.completeness import Event, Gap

__all__ = ["gaps_in"]


def gaps_in(log: Log, recorder: Recorder, recording: Recording) -> tuple[Gap, ...]:
    """What is lacking in a recording that was just taken."""
    # what fails to be found out is a gap too, and not the loss of the report
    gaps: list[Gap] = []
    for found in (
        lambda: _in_optimizers(log, recorder, recording),
        lambda: _in_passes_steps_hooks_and_calls(log),
        lambda: _in_operations_and_reads(log),
        lambda: _in_flag_changes(log),
        lambda: _in_other_processes(log, recording),
        lambda: _in_gradients_on_their_way(log, is_differentiated=recorder.is_differentiated),
        lambda: _in_numbers_that_left(log),
    ):
        recorder.aside.looking(_gather)(gaps, found)
    return (*_from_a_moment_on(log, recorder.aside.failure), *gaps)


def _gather(gaps: list[Gap], found: Callable[[], Iterable[Gap]]) -> None:
    gaps.extend(found())


def _from_a_moment_on(log: Log, failure: str) -> Iterator[Gap]:
    if failure:
        yield Gap(why="observer failed", detail=failure)
    if log.stepped_aside:
        yield Gap(why="stepped aside", detail=log.stepped_aside)
    if log.interrupted:
        yield Gap(why="interrupted", detail=log.interrupted, events=frozenset({"operations", "module calls"}))


def _in_optimizers(log: Log, recorder: Recorder, recording: Recording) -> Iterator[Gap]:
    made = log.optimizers_elsewhere
    if made:
        held = _held_by_unseen(log, recorder, recording)
        yield Gap(why="another thread", events=frozenset({"optimizers"}), values=held, missed=len(made))


def _in_passes_steps_hooks_and_calls(log: Log) -> Iterator[Gap]:
    """What was counted in other threads."""
    for event, missed in tuple(log.elsewhere.items()):
        yield Gap(why="another thread", events=frozenset({event}), missed=missed)


def _in_operations_and_reads(log: Log) -> Iterator[Gap]:
    """What cannot be counted in other threads: a function mode, which sees it, is on in one thread only.

    A thread in which no module, backward pass, hook or step of torch's calls us, as one that draws a progress bar,
    counts for nothing; one in which that happens may do all the rest as well.
    """
    if log.elsewhere:
        yield Gap(why="another thread", events=frozenset({"operations", "reads of .grad"}))


def _in_flag_changes(log: Log) -> Iterator[Gap]:
    """A switched flag shows where its tensor is met again, whoever switched it."""
    switched = frozenset(log.switched_unseen)
    if switched:
        yield Gap(why="out of sight", events=frozenset({"flag changes"}), values=switched, missed=len(switched))


def _held_by_unseen(log: Log, recorder: Recorder, recording: Recording) -> frozenset[int] | None:
    """The values that optimizers hold which nobody saw being made; ``None`` where one is gone: any may be."""
    optimizers = [reference() for reference in tuple(log.optimizers_elsewhere.values())]
    if any(optimizer is None for optimizer in optimizers):
        return None
    try:
        held = [parameter for optimizer in optimizers for parameter in held_by(optimizer)]
    except Exception:  # noqa: BLE001  (what another thread put there is its own affair: it may hold any)
        return None
    return _of_the_same_memory(recording, map(recorder.known_value, held))


def _in_other_processes(log: Log, recording: Recording) -> Iterator[Gap]:
    if not (log.fork_count or log.has_other_processes):
        return
    reached = frozenset[Event]({"backward passes", "steps", "optimizers"} if log.shared_leaves else ())
    forked = f"{log.fork_count:,} forked process{'es' * (log.fork_count != 1)}" if log.fork_count else ""
    shared = _of_the_same_memory(recording, log.shared_leaves)
    yield Gap(why="another process", detail=forked, events=reached, values=shared)


def _of_the_same_memory(recording: Recording, values: Iterable[int]) -> frozenset[int]:
    """With the values that these tensors had before and since: what is written into a tensor gives it a new one."""
    memory = recording.values.memory
    wanted = {memory[value] for value in values if value >= 0}
    return frozenset(value for value, where in enumerate(memory) if where in wanted) if wanted else frozenset()


def _in_gradients_on_their_way(log: Log, *, is_differentiated: bool) -> Iterator[Gap]:
    way = frozenset[Event]({"gradients on their way"})
    if log.is_transformed or is_differentiated:
        yield Gap(why="transform", events=way)
    unseen_graphs = Counter(backward.unseen for backward in log.backwards if backward.unseen)
    for why, missed in unseen_graphs.items():
        yield Gap(why="graph", detail=why, events=way, missed=missed)


def _in_numbers_that_left(log: Log) -> Iterator[Gap]:
    if log.numbers.forgotten:
        yield Gap(why="not remembered", events=frozenset({"numbers that left"}), missed=log.numbers.forgotten)
