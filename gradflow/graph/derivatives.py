"""What can have a derivative: by the dtype of a value, and by what an operation gave."""

from __future__ import annotations

from gradflow.graph.cut_group import CutGroup
from gradflow.recording import Recording

__all__ = ["is_choice", "is_differentiable"]

_DIFFERENTIABLE = ("float", "bfloat", "complex", "half", "double")


def is_differentiable(dtype: str) -> bool:
    """Whether values of a dtype can carry a gradient."""
    return dtype.startswith(_DIFFERENTIABLE)


def is_choice(recording: Recording, group: CutGroup) -> bool:
    """Whether at a cut a value only decides something, which jumps: no part of a derivative is lost there.

    What gives numbers that could have a gradient, and records none although recording is on, is no choice:
    ``torch.autograd.grad`` without ``create_graph=True`` gives a smooth function as bare numbers.
    """
    if group.cause != "nondiff-op":
        return False
    values, row = recording.values, group.operation
    outputs = recording.outputs_of(row)
    is_bare = bool(outputs) and not any(values.requires_grad[value] for value in outputs)
    gives_numbers = any(is_differentiable(recording.dtype_of(value)) for value in outputs)
    return bool(recording.operations.mode[row]) or not (is_bare and gives_numbers)
