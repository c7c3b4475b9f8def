"""The words for a gradient that ends because only other parts of a result are read."""

from __future__ import annotations

from collections.abc import Sequence

from gradflow.recording.gradients import Unread

__all__ = ["note_of_unread", "said_of_others"]


def note_of_unread(operation: str, target: str, unread: Unread) -> str:
    """Which indices are read, and that the target has part in others."""
    only = " and ".join(
        f"{'indices' if len(read) > 1 else 'index'} {_written(read)} of {size} along dimension {dimension}"
        for dimension, size, read in unread.read
    )
    return (
        f"of what `{operation}` gives ({list(unread.shape)}), a gradient comes back only at {only}; tried: one that is "
        f"put in at the others reaches `{target}`, and with the values there moved far away the score stays the same"
    )


def said_of_others(unread: Unread | None) -> str:
    """What was tried with other inputs, where that showed the same."""
    if unread is None or not unread.other_inputs:
        return ""
    return f"tried: for {unread.other_inputs} other values of the input it is zero as well"


def _written(indices: Sequence[int]) -> str:
    is_range = len(indices) > 2 and indices[-1] - indices[0] == len(indices) - 1
    if is_range:
        return f"{indices[0]} to {indices[-1]}"
    shown = [str(index) for index in indices[:4]]
    return ", ".join(shown) + (f" and {len(indices) - 4} more" if len(indices) > 4 else "")
