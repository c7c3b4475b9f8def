"""What runs around the ``forward`` of a module, and the tables of hooks that are on all modules."""

from __future__ import annotations

import contextlib
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import torch
import torch.nn.modules.module as machinery
from torch.nn.modules._functions import BackwardHookFunction
from torch.utils.hooks import RemovableHandle

__all__ = [
    "BATCH_NORMS",
    "CALLING",
    "GATHERING",
    "NORMS_WITH_STATISTICS",
    "BackwardHookFunction",
    "global_hook_tables",
    "machinery",
    "without_global_hook",
]

CALLING: CodeType = torch.nn.Module._call_impl.__code__
"""The code of the function that runs the hooks and the ``forward``."""

GATHERING = (
    torch.nn.Module._call_impl,
    torch.nn.Module._get_backward_hooks,
    torch.nn.Module._get_backward_pre_hooks,
)
"""The functions that read a module's tables of hooks for a call."""

BATCH_NORMS: tuple[type, ...] = (torch.nn.modules.batchnorm._BatchNorm,)
"""The class of all batch norms."""

NORMS_WITH_STATISTICS: tuple[type[torch.nn.modules.batchnorm._NormBase], ...] = (torch.nn.modules.batchnorm._NormBase,)
"""The class of all layers that may keep running statistics, instance norms too."""


def global_hook_tables() -> dict[str, OrderedDict[int, Any]]:
    """Tables of hooks on all modules, by the name that torch has for them."""
    found = vars(machinery).items()
    return {name: table for name, table in found if name.startswith("_global_") and isinstance(table, OrderedDict)}


@contextlib.contextmanager
def without_global_hook(handle: RemovableHandle, is_still_on: Callable[[], bool]) -> Iterator[None]:
    """Without one hook on all modules; all others stay, and are meanwhile whatever the program makes of them.

    Afterwards it is in its place again, before those that it was before, unless it is not to be on any more.
    """
    taken = []
    for table in global_hook_tables().values():
        before = frozenset(itertools.takewhile(lambda key: key != handle.id, list(table)))
        if (hook := table.pop(handle.id, _NOTHING)) is not _NOTHING:
            taken.append((table, hook, before))
    try:
        yield
    finally:
        for table, hook, before in taken if is_still_on() else ():
            table[handle.id] = hook
            for key in [key for key in table if key not in before and key != handle.id]:
                with contextlib.suppress(KeyError):  # another thread takes its hooks off when it likes
                    table.move_to_end(key)


_NOTHING = object()
