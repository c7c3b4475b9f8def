"""Counts what a run takes, operation by operation, and stops it before an operation takes more than it may have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

from gradflow.torch_facts.dispatch_modes import DispatchMode
from gradflow.values import mapped, tensors_in

__all__ = ["MOST_BYTES", "MOST_OPERATIONS", "MOST_WORK", "Counting", "TooMuchError", "without_data"]

MOST_BYTES = 8 * 2**30
"""Bytes of all results of one forward pass together: what autograd may have to keep."""
MOST_OPERATIONS = 10_000
MOST_WORK = 2 * 10**13
"""Multiplications and additions of one forward pass; a vision transformer of a billion parameters has some 10**12."""


_WORK_PER_ENTRY = 100
"""To read or write an entry takes as long as so many multiplications of matrices."""


class TooMuchError(Exception):
    """A run takes more than it may have; ``what`` says of what. Others may add to the text, as torch does."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Counting(DispatchMode):
    """Counts every operation, before it runs; a dispatch mode, so that it sees what torch's composites are made of.

    What an operation gives is found out without data. Where that is not possible, because its size depends on the data,
    the result is counted once it is there.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._bytes, self._operations, self._work = 0, 0, 0
        self.run_count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operation, counted."""
        kwargs = dict(kwargs or {})
        self._operations += 1
        if self._operations > MOST_OPERATIONS:
            raise TooMuchError(f"more than {MOST_OPERATIONS:,} operations")
        if any(
            argument.alias_info is not None and not argument.alias_info.is_write for argument in func._schema.returns
        ):
            return func(*args, **kwargs)  # a view takes nothing
        # where everything is without data already, the operation itself takes nothing
        takes_room = any(not one.is_meta for one in _tensors((args, kwargs))) or _names_a_device(func)
        expected = _result_without_data(func, args, kwargs) if takes_room else None
        if expected is not None:
            self._count(func, args, kwargs, expected)
        result = func(*args, **kwargs)
        if expected is None:
            self._count(func, args, kwargs, result)
        return result

    def _count(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        made, taken = _tensors(result), _tensors((args, kwargs))
        is_new = not any(argument.alias_info is not None for argument in func._schema.returns)
        if is_new:
            self._bytes += sum(one.numel() * one.element_size() for one in made)
        if self._bytes > MOST_BYTES:
            raise TooMuchError(f"more than {MOST_BYTES // 2**30} GiB of memory")
        # what is read counts as what is written: an expanded tensor has as many entries as it shows
        entries = sum(one.numel() for one in made) * _window(func, args, kwargs) + sum(one.numel() for one in taken)
        self._work += max(entries * _WORK_PER_ENTRY, _multiplications(func, args, kwargs, result))
        if self._work > MOST_WORK:
            raise TooMuchError(f"more than {MOST_WORK:,} multiplications")


def without_data(value: Any) -> Any:
    """Arguments of a call with tensors of the same shapes on torch's meta device."""
    return mapped(value, lambda part: _emptied(part) if isinstance(part, torch.Tensor) else part)


def _emptied(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def _names_a_device(func: Any) -> bool:
    return any(argument.name == "device" for argument in func._schema.arguments)


def _tensors(value: Any) -> list[torch.Tensor]:
    return [one for one in tensors_in(value) if one.layout == torch.strided]


def _result_without_data(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the operation gives without data; nothing where that depends on the data, and so does its size."""
    try:
        args, kwargs = without_data((args, kwargs))
        if _names_a_device(func):
            kwargs = {**kwargs, "device": torch.device("meta")}  # the call's own, where it holds no tensor
        return func(*args, **kwargs)
    except Exception:  # noqa: BLE001 - no kernel without data, or an error that the operation itself will raise
        return None


def _multiplications(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    formula = flop_registry.get(func.overloadpacket)
    if formula is None:
        return 0
    try:
        return int(formula(*args, **kwargs, out_val=result)) // 2
    except Exception:  # noqa: BLE001 - made for ordinary arguments; the entries count all the same
        return 0


def _window(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """How many entries one entry of the result is made of, where the operation has a window that slides."""
    names = [argument.name for argument in func._schema.arguments]
    if "kernel_size" not in names:
        return 1
    place = names.index("kernel_size")
    size = kwargs.get("kernel_size", args[place] if place < len(args) else ())
    lengths = size if isinstance(size, (list, tuple)) else (size,)
    return max(math.prod(length for length in lengths if isinstance(length, int)), 1)
