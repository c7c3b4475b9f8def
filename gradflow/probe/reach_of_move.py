"""Whether moving what a layer returned, when it returns, moves exactly what the gradient at its output speaks of.

An experiment writes other values into the memory of an output. Where the layer hands on a tensor that was read before
(``nn.Identity`` in a skip connection), those readers have the old values; where the output is a view and others read
the base, they get new values that did not come through the layer.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradflow.recording import ModuleCall, Recording

__all__ = ["ReachOfMove", "reach_of_move"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachOfMove:
    """``misses_readers``: something read the values before; ``moves_others``: other tensors in the same memory."""

    misses_readers: bool = False
    moves_others: bool = False

    @property
    def reason(self) -> str:
        """Why the score's movement cannot be compared with the gradient; empty where it can."""
        if self.misses_readers:
            return "operations within the layer read what it returns before it does, and would not see it moved"
        if self.moves_others:
            return "other tensors lie in the memory of what the layer returned, and would be moved with it"
        return ""


def reach_of_move(recording: Recording, target: str) -> ReachOfMove:
    """What a move of the outputs of ``target``, at the end of each of its calls, moves too little or too much."""
    misses = others = False
    calls = recording.calls_by_module.get(target, ())
    for value in recording.layer_values.get(target, ()):
        call = next((call for call in calls if value in call.outputs), None)
        if call is not None:
            misses = misses or _was_read(recording, value, call)
            others = others or _has_company(recording, value, call)
    return ReachOfMove(misses_readers=misses, moves_others=others)


def _was_read(recording: Recording, value: int, call: ModuleCall) -> bool:
    first = recording.values.producer[value] + 1
    return any(value in recording.inputs_of(row) for row in range(first, call.end_operation))


def _has_company(recording: Recording, value: int, call: ModuleCall) -> bool:
    """Whether a tensor that was there before the end of the call, in the same memory, is read after it."""
    memory, producer = recording.values.memory, recording.values.producer
    columns = recording.operations
    return any(
        read != value and memory[read] == memory[value] and producer[read] < call.end_operation
        for read in columns.inputs[columns.input_start[call.end_operation] :]
    )
