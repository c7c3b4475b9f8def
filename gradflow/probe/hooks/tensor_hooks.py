"""A recorder of a run in which chosen hooks, that the forward puts on tensors, are left out."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.hooks import RemovableHandle

from gradflow.location import SiteTable
from gradflow.trace.recorder import Recorder

__all__ = ["HookLeavingRecorder", "MadeHook"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeHook:
    """A hook that the forward registered on a tensor, at a site."""

    site: int
    hook: Any


class HookLeavingRecorder(Recorder):
    """Notes each ``Tensor.register_hook`` and does not let those take place that ``leaves_out`` names by number.

    Parameters
    ----------
    sites, before_write
        As for :class:`Recorder`.
    leaves_out
        Whether the nth hook that the forward registers is left out.
    """

    def __init__(
        self,
        sites: SiteTable,
        before_write: Callable[[torch.Tensor], None] | None,
        leaves_out: Callable[[int], bool],
    ) -> None:
        super().__init__(sites, before_write)
        self.made: list[MadeHook] = []
        self._leaves_out = leaves_out

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Record, but for what registers a hook."""
        if func is torch.Tensor.register_hook and not self.suspended:
            hook = args[1] if len(args) > 1 else (kwargs or {}).get("hook")
            self.made.append(MadeHook(site=self.sites.number(sys._getframe(1)), hook=hook))
            if self._leaves_out(len(self.made) - 1):
                return RemovableHandle(OrderedDict())
        return super().__torch_function__(func, types, args, kwargs)
