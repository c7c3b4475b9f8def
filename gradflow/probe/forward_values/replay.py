"""An operation once more, with finite numbers in the place of the infinities that it was given.

Whether an infinity spoils what reads it depends on the operation: a softmax takes ``-inf`` for "none of it", a matrix
product hands it on. That is measured on the operation itself, with copies of what it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from gradflow.torch_facts.function_modes import unseen
from gradflow.values import mapped, tensors_in

__all__ = ["has_slope_of_its_own", "takes_infinity"]

_LARGE = 1e4
_ORDINARY = 1e2
"""What is made of numbers that are ``_LARGE`` times the others, and is no larger than this, does not grow with them."""


def takes_infinity(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool | None:
    """Whether the result stays of ordinary size however large what is infinite becomes; ``None`` where not known."""
    with torch.no_grad():
        results = _replayed(func, args, kwargs, _with_large)
        if results is None:
            return None
        finite = [one.detach()[one.detach().isfinite()] for one in _with_numbers((args, dict(kwargs)))]
        return _largest(results) <= _ORDINARY * max(1.0, _largest(finite))


def has_slope_of_its_own(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool | None:
    """Whether its derivative is still not finite where what is infinite has become finite; ``None`` where not known."""
    leaves: list[torch.Tensor] = []

    def as_leaf(tensor: torch.Tensor) -> torch.Tensor:
        leaf = _with_ordinary(tensor).requires_grad_()
        leaves.append(leaf)
        return leaf.clone()  # may be written to in place

    with torch.enable_grad():
        results = _replayed(func, args, kwargs, as_leaf)
        total = [one.abs().sum() for one in results if one.grad_fn is not None] if results is not None else []
        if not total:
            return None
        try:
            gradients = torch.autograd.grad(torch.stack(total).sum(), leaves, allow_unused=True)
        except RuntimeError:
            return None
    # of what is not read there is none
    return any(not bool(one.isfinite().all()) for one in tensors_in(gradients))


def _replayed(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    changed: Callable[[torch.Tensor], torch.Tensor],
) -> list[torch.Tensor] | None:
    def copied(part: Any) -> Any:
        if not isinstance(part, torch.Tensor):
            return part
        # in float64, where what is large has room
        return changed(part.detach().double()) if _has_numbers(part) else part.detach().clone()

    try:
        with torch.random.fork_rng(devices=_devices((args, dict(kwargs)))), unseen():
            made = func(*mapped(args, copied), **mapped(dict(kwargs), copied))
    except Exception:  # noqa: BLE001  (a copy is not always what an operation wants: then nothing is known)
        return None
    return _with_numbers(made)


def _with_large(tensor: torch.Tensor) -> torch.Tensor:
    finite = tensor[tensor.isfinite()]
    large = torch.full_like(tensor, _LARGE * max(1.0, _largest([finite])))
    return torch.where(tensor.isinf(), large.copysign(tensor), tensor)


def _with_ordinary(tensor: torch.Tensor) -> torch.Tensor:
    return torch.where(tensor.isinf(), _ordinary(tensor), tensor)


def _ordinary(tensor: torch.Tensor) -> torch.Tensor:
    """A finite number in it, one that the operation can be given: not the least and not the largest."""
    finite = tensor[tensor.isfinite()].flatten()
    return finite[finite.abs().argsort()[len(finite) // 2]] if len(finite) else tensor.new_ones(())


def _with_numbers(value: Any) -> list[torch.Tensor]:
    return [one for one in tensors_in(value) if _has_numbers(one)]


def _has_numbers(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() and tensor.layout == torch.strided and not tensor.is_nested


def _largest(tensors: list[torch.Tensor]) -> float:
    return max((float(one.double().abs().amax()) for one in tensors if one.numel()), default=0.0)


def _devices(value: Any) -> list[torch.device]:
    return list({one.device for one in tensors_in(value) if one.is_cuda})
