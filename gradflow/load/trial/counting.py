"""Counts what a run takes, operation by operation, and stops it where that is more than it may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

__all__ = ["MOST_BYTES", "MOST_OPERATIONS", "MOST_WORK", "Counting", "TooMuchError"]

MOST_BYTES = 8 * 2**30
"""Bytes of all results of one forward pass together: what autograd may have to keep."""
MOST_OPERATIONS = 500_000
MOST_WORK = 2 * 10**13
"""Multiplications and additions of one forward pass; a vision transformer of a billion parameters has some 10**12."""


class TooMuchError(Exception):
    """A run takes more than it may have; the text says of what."""


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts every operation; a dispatch mode, so that it sees also what torch's own composites are made of.

    Parameters
    ----------
    ahead
        Whether each operation is first run without data, so that it is counted before it takes memory. For runs on
        torch's meta device that is not needed.
    """

    def __init__(self, *, ahead: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._ahead = ahead
        self._bytes, self._operations, self._work = 0, 0, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operation, counted."""
        kwargs = dict(kwargs or {})
        self._operations += 1
        if self._operations > MOST_OPERATIONS:
            raise TooMuchError(f"more than {MOST_OPERATIONS:,} operations")
        if self._ahead:
            self._count(func, args, kwargs, _without_data(func, args, kwargs))
            return func(*args, **kwargs)
        result = func(*args, **kwargs)
        self._count(func, args, kwargs, result)
        return result

    def _count(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        made = [one for one in _pytree.tree_leaves(result) if isinstance(one, torch.Tensor)]
        is_new = not any(argument.alias_info is not None for argument in func._schema.returns)
        entries = sum(one.numel() for one in made)
        if is_new:
            self._bytes += sum(one.numel() * one.element_size() for one in made)
        if self._bytes > MOST_BYTES:
            raise TooMuchError(f"more than {MOST_BYTES // 2**30} GiB of memory")
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None and made:
            self._work += int(formula(*args, **kwargs, out_val=result)) // 2
        else:
            self._work += entries * _window(func, args, kwargs)
        if self._work > MOST_WORK:
            raise TooMuchError(f"more than {MOST_WORK:,} multiplications")


def _without_data(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the operation gives without data; nothing where that depends on the data, and so on its size."""

    def emptied(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
        return torch.device("meta") if isinstance(value, torch.device) else value

    try:
        args, kwargs = _pytree.tree_map(emptied, (args, kwargs))
        if "device" in {argument.name for argument in func._schema.arguments}:
            kwargs["device"] = torch.device("meta")
        return func(*args, **kwargs)
    except Exception:  # noqa: BLE001 - no kernel without data, or an error that the operation itself will raise
        return None


def _window(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """How many entries one entry of the result is made of, where the operation has a window that slides."""
    names = [argument.name for argument in func._schema.arguments]
    if "kernel_size" not in names:
        return 1
    place = names.index("kernel_size")
    size = kwargs.get("kernel_size", args[place] if place < len(args) else ())
    count = 1
    for length in size if isinstance(size, (list, tuple)) else (size,):
        count *= length if isinstance(length, int) else 1
    return max(count, 1)
