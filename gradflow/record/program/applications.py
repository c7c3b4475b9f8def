"""Keeps what the program gave its own autograd Functions, to check their formulas when it has ended."""

from __future__ import annotations

from typing import Any

import torch

from gradflow.location import is_installed
from gradflow.record.calls.applications import Application, copied, is_custom
from gradflow.record.operations.tensor_facts import PLAIN_CLASSES, has_readable_numbers
from gradflow.record.program.harmless import is_harmless
from gradflow.source.custom_backward import formula_spans
from gradflow.values import leaves_in, tensors_in

__all__ = ["ApplicationKeeper"]

_PER_CLASS = 2
_ENTRIES = 32_768
"""Larger arguments are cut down along the first axis that they share: a formula is wrong of a part as well."""

_PLAIN = (int, float, complex, str, bool, type(None), torch.dtype, torch.device, torch.Size)


class ApplicationKeeper:
    """Copies the arguments of the first applications of each Function that is harmless to call again."""

    def __init__(self) -> None:
        self.kept: list[Application] = []
        self._counts: dict[type, int] = {}

    def copy(self, cls: type, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Copies of the arguments, taken before the call, which may change them; ``None`` where none are wanted."""
        if self._counts.get(cls, 0) >= _PER_CLASS or not torch.is_grad_enabled():
            return None
        if not all(map(_is_plain, leaves_in(arguments))) or not any(one.requires_grad for one in tensors_in(arguments)):
            return None
        if not self._counts.get(cls) and not _is_wanted(cls):
            self._counts[cls] = _PER_CLASS
            return None
        small = _cut_down(arguments)
        if small is None:
            return None
        self._counts[cls] = self._counts.get(cls, 0) + 1
        return tuple(copied(value) for value in small)

    def keep(self, cls: type, operation: int, arguments: tuple[Any, ...]) -> None:
        """The call has returned and is the operation of this number."""
        self.kept.append(Application(function=cls, operation=operation, arguments=arguments))


def _is_wanted(cls: type) -> bool:
    if not is_custom(cls):
        return False
    span, _ = formula_spans(cls, 0)
    return span is not None and not is_installed(span.path) and is_harmless(cls)


def _is_plain(leaf: Any) -> bool:
    if isinstance(leaf, torch.Tensor):
        return type(leaf) in PLAIN_CLASSES and leaf.layout is torch.strided and has_readable_numbers(leaf)
    return isinstance(leaf, _PLAIN)


def _cut_down(arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
    tensors = tensors_in(arguments)
    total = sum(tensor.numel() for tensor in tensors)
    if total <= _ENTRIES:
        return arguments
    largest = max(tensors, key=torch.Tensor.numel)
    rows = largest.shape[0] if largest.dim() else 1
    shared = [tensor for tensor in tensors if tensor.dim() and tensor.shape[0] == rows]
    rest = total - sum(tensor.numel() for tensor in shared)
    kept = (_ENTRIES - rest) * rows // max(1, total - rest)
    if kept < 1 or any(isinstance(value, list | tuple) and type(value) is not torch.Size for value in arguments):
        return None
    with torch.no_grad():
        return tuple(
            value[:kept].detach().requires_grad_(value.requires_grad)
            if isinstance(value, torch.Tensor) and any(value is tensor for tensor in shared)
            else value
            for value in arguments
        )
