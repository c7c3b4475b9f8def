"""A custom ``autograd.Function`` called by itself, with one of its inputs free to move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from gradflow.record.backward.dense_values import as_real
from gradflow.record.calls.applications import Application
from gradflow.record.conduct.whose_error import run_theirs
from gradflow.values import mapped, tensors_in

__all__ = ["LoneFunction", "noise_like", "size_of"]

_SEED = 4_711


class LoneFunction:
    """``forward`` and ``backward`` of one application as two functions of one of its inputs.

    Parameters
    ----------
    application
        The Function and its arguments.
    argument
        Position of the input that moves.
    used
        Which of the output tensors count, in their order.
    dtype
        To which the floating point arguments are converted; ``None`` leaves them as they are.
    """

    def __init__(
        self, application: Application, argument: int, used: Sequence[bool], dtype: torch.dtype | None
    ) -> None:
        self._function: Any = application.function
        self.arguments = [_converted(value, dtype) for value in application.arguments]
        self.argument = argument
        self._used = used
        self.point: torch.Tensor = self.arguments[argument].detach()

    def __call__(self, point: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What ``forward`` gives for the input ``point``: the outputs that can carry a gradient."""
        return tuple(output.detach() for output in self._outputs(point.detach().requires_grad_()))

    def pullback(self, point: torch.Tensor, cotangents: Sequence[torch.Tensor]) -> torch.Tensor | None:
        """What ``backward`` returns for the input; ``None`` where it returns nothing."""
        leaf = point.detach().clone().requires_grad_()
        outputs = self._outputs(leaf)
        gradient: Any = run_theirs(torch.autograd.grad, (outputs, leaf, list(cotangents)), {"allow_unused": True})[0]
        return None if gradient is None else gradient.detach()

    def _outputs(self, leaf: torch.Tensor) -> list[torch.Tensor]:
        # a Function that draws random numbers draws the same ones each time
        torch.manual_seed(_SEED)
        arguments = [_fresh(value) for value in self.arguments]
        # not the leaf itself, which a Function must not change in place
        arguments[self.argument] = leaf.clone()
        with torch.enable_grad():
            result = run_theirs(self._function.apply, tuple(arguments))
        outputs = tensors_in(result)
        used = self._used if len(self._used) == len(outputs) else (True,) * len(outputs)
        return [output for output, counts in zip(outputs, used, strict=True) if counts and output.requires_grad]


def _converted(value: Any, dtype: torch.dtype | None) -> Any:
    def converted(part: Any) -> Any:
        if dtype is None or not isinstance(part, torch.Tensor) or not part.is_floating_point():
            return part
        return part.detach().to(dtype).requires_grad_(part.requires_grad)

    return mapped(value, converted)


def _fresh(value: Any) -> Any:
    def fresh(part: Any) -> Any:
        return part.detach().requires_grad_(part.requires_grad).clone() if isinstance(part, torch.Tensor) else part

    return mapped(value, fresh)


def noise_like(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Standard normal noise in the shape of a tensor, the same on every device."""
    dtype = torch.complex128 if tensor.is_complex() else torch.float64
    return torch.randn(tensor.shape, generator=generator, dtype=dtype).to(tensor.device, tensor.dtype)


def size_of(tensor: torch.Tensor) -> float:
    """Root mean square of the entries; 1 where that is zero or not finite."""
    size = float(as_real(tensor).double().square().mean().sqrt()) if tensor.numel() else 0.0
    return size if 0 < size < float("inf") else 1.0
