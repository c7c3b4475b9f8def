"""What ``backward`` and ``torch.autograd.grad`` take as outputs and inputs, gone through as torch does."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.autograd.graph import GradientEdge

__all__ = ["ARGUMENTS", "items_of"]

ARGUMENTS = {name: tuple(inspect.signature(vars(torch.autograd)[name]).parameters) for name in ("backward", "grad")}
"""The arguments of ``torch.autograd.backward`` and ``torch.autograd.grad`` in order; the first are the outputs."""


def items_of(given: Any) -> tuple[tuple[Any, ...] | None, Any]:
    """The single items, each in its position, and what to hand to torch in the place of ``given``.

    One tensor or edge is one item; of a ``dict`` the values count. Anything else is gone through once, as often as
    torch would. What raises at that raises for torch where it did here, and the items are ``None``.
    """
    kind = type(given)
    if given is None:
        return (), given
    if issubclass(kind, (torch.Tensor, GradientEdge)) or hasattr(kind, "__torch_function__"):
        return (given,), given
    if kind in (tuple, list):
        return tuple(given), given
    if kind is dict:
        return tuple(given.values()), given
    if issubclass(kind, Mapping):
        return (), given  # torch refuses it
    items: list[Any] = []
    try:
        items.extend(given)
    except BaseException as error:  # noqa: BLE001  (the program's own: it is raised where torch meets it)
        return None, _until(items, error)
    return tuple(items), tuple(items)


def _until(items: list[Any], error: BaseException) -> Iterator[Any]:
    yield from items
    raise error
