"""A run in which chosen hooks, that the forward puts on tensors, are left out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.hooks import RemovableHandle

from gradflow.record.seam.intervention import AS_IT_IS, Call, Intervention

__all__ = ["HooksLeftOut", "MadeHook"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeHook:
    """A hook that the forward registered on a tensor, at a site."""

    site: int
    hook: Any


class HooksLeftOut(Intervention):
    """Notes each ``Tensor.register_hook`` and does not let those take place that ``leaves_out`` names by number.

    Parameters
    ----------
    leaves_out
        Whether the nth hook that the forward registers is left out.
    """

    watches = frozenset({torch.Tensor.register_hook})

    def __init__(self, leaves_out: Callable[[int], bool]) -> None:
        self.made: list[MadeHook] = []
        self._leaves_out = leaves_out

    def before(self, call: Call) -> Any:
        """A handle of nothing, where a hook is left out."""
        if not call.is_watched:
            return AS_IT_IS
        hook = call.arguments[1] if len(call.arguments) > 1 else call.keywords.get("hook")
        self.made.append(MadeHook(site=call.site, hook=hook))
        return RemovableHandle(OrderedDict()) if self._leaves_out(len(self.made) - 1) else AS_IT_IS
