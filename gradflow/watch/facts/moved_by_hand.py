"""Parameters that the program, or a library of it, moves along their gradients without an optimizer of torch.

What an optimizer of another library holds nobody says. That it has stepped shows: after a backward pass that brought
them gradients, leaves that require grad are written to while nothing is recorded.
"""

from __future__ import annotations

from gradflow.watch.facts.writes import written_by
from gradflow.watch.observation import Observation

__all__ = ["moved_by_hand"]


def moved_by_hand(observation: Observation) -> frozenset[int]:
    """The leaves to which a gradient came that is more than zero, and that were written to since."""
    recording = observation.recording
    memory = recording.values.memory
    held = {memory[value] for optimizer in observation.program.optimizers for value in optimizer.parameters}
    since: dict[int, int] = {}
    for backward in observation.program.backwards:
        if backward.kind == "backward" and not backward.error:
            for value, (largest, _) in backward.arrived.items():
                if largest > 0 and memory[value] not in held:
                    since.setdefault(value, backward.operation)
    by_memory = {memory[value]: value for value in since}
    return frozenset(
        leaf
        for row in range(min(since.values(), default=len(recording)), len(recording))
        for written in written_by(recording, row)
        if (leaf := by_memory.get(memory[written], -1)) >= 0 and since[leaf] <= row
    )
