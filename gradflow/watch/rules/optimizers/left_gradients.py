"""GF209: an optimizer steps along more than the last gradient, or along one that it has used already."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence

from gradflow.recording.program.events import Backward, Optimizer
from gradflow.watch.facts.naming.names import parameter_names
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["gradients_pile_up", "gradients_stay_behind"]

_TIMES = 2
"""So many steps in a row: once is also seen where a phase of training begins or ends."""


def gradients_pile_up(observation: Observation) -> tuple[Finding, ...]:
    """An optimizer steps again along a gradient to which an older one, already used, was added."""
    for optimizer in observation.program.optimizers:
        site = _uncleared(observation, optimizer)
        if site is not None:
            return (
                finding(
                    "grad-accumulated",
                    "wrong",
                    f"`{optimizer.type_name}` steps along the sum of all gradients so far, not along the last one",
                    observation.recording.site_span(site),
                    label="adds to what is there already",
                    annotations=(
                        (observation.recording.site_span(optimizer.steps[0][0]), "this step has used it already"),
                    ),
                    notes=("`backward()` adds to `.grad`; between two steps nothing has cleared it",),
                    helps=("call `optimizer.zero_grad()` before each backward, or right after each step",),
                    is_parameter=True,
                    rank=2,
                ),
            )
    return ()


def _uncleared(observation: Observation, optimizer: Optimizer) -> int | None:
    held = set(optimizer.parameters)
    count = 0
    times = [operation for _, operation in optimizer.steps]
    if optimizer.takes_closure:  # its backward passes run inside the step, after the moment that is noted
        times.append(len(observation.recording) + 1)
    for before, after in itertools.pairwise(times):
        between = [b for b in _called_between(observation, before, after) if b.kind == "backward"]
        # each of them must have found the old gradient still there, at a parameter that it brings one
        reaching = [b for b in between if held & set(b.arrived)]
        if reaching and all(held & set(b.kept) & set(b.arrived) for b in reaching):
            count += 1
            if count == 2 or (len(times) == 2 and not optimizer.takes_closure):
                return reaching[0].site
        else:
            count = 0
    return None


def gradients_stay_behind(observation: Observation) -> tuple[Finding, ...]:
    """An optimizer steps again along a gradient to which no backward has added since: of a part that was frozen, say.

    What nothing is computed from any more would stay as it is, if its gradient had been cleared.
    """
    found = []
    for optimizer in observation.program.optimizers:
        turns = 0
        for before, after, between in _steps_and_passes(observation, optimizer):
            kept = _left(optimizer, before, after, between)
            turns = turns + 1 if kept else 0
            if turns == _TIMES:
                found.append(_told(observation, optimizer, kept, between))
                break
    return tuple(found)


def _steps_and_passes(observation: Observation, optimizer: Optimizer) -> Iterator[tuple[int, int, list[Backward]]]:
    """Two steps that follow each other, and the backward passes between them."""
    for (_, before), (_, after) in itertools.pairwise(optimizer.steps):
        passes = _called_between(observation, before, after)
        yield before, after, [one for one in passes if one.kind == "backward" and not one.error]


def _left(optimizer: Optimizer, before: int, after: int, between: list[Backward]) -> tuple[int, ...]:
    """What it held with a gradient at both steps, the same one, while others got a new one."""
    if optimizer.takes_closure or not any(set(optimizer.parameters) & set(one.arrived) for one in between):
        return ()
    first, last = optimizer.first_filled, optimizer.last_filled
    return tuple(
        value
        for value in optimizer.parameters
        if first.get(value, after) <= before
        and last.get(value, -1) >= after
        and all(value in one.kept and value not in one.arrived and not one.unseen for one in between)
    )


def _told(observation: Observation, optimizer: Optimizer, kept: tuple[int, ...], between: list[Backward]) -> Finding:
    recording, since = observation.recording, between[0].operation
    brought = [
        one for one in observation.program.backwards if one.operation < since and not set(kept).isdisjoint(one.arrived)
    ]
    off = [flag for flag in observation.program.flags if flag.value in kept and not flag.on and flag.operation <= since]
    return finding(
        "grad-accumulated",
        "connected",
        f"`{optimizer.type_name}` steps again along a gradient that an earlier pass left at "
        f"{parameter_names(observation, kept)}",
        recording.site_span(between[-1].site),
        label="brings no gradient there, and the old one is still in `.grad`",
        annotations=(
            *(((recording.site_span(off[-1].site), "switched off here"),) if off else ()),
            *(((recording.site_span(brought[-1].site), "brought the old one"),) if brought else ()),
            (recording.site_span(optimizer.last_step[0]), "steps along it again"),
        ),
        notes=("an optimizer moves whatever has a `.grad`, also what is frozen or not used any more",),
        helps=("clear it when it is no longer to learn: `p.grad = None`, or `zero_grad()` of all that is held",),
        severity="warning",
        target=recording.leaf_names.get(kept[0], ("", ""))[1],
        is_parameter=True,
        rank=2,
        operation=since,
    )


def _called_between(observation: Observation, before: int, after: int) -> Sequence[Backward]:
    """The calls between two steps, found without going through all of a long training for each."""
    calls = observation.program.backwards
    first = bisect.bisect_left(calls, before, key=lambda one: one.operation)
    return calls[first : bisect.bisect_left(calls, after, lo=first, key=lambda one: one.operation)]
