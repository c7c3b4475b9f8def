"""Trial repair: run again with a suspected cut neutralised at that very call site.

Nothing of the user's is edited: a recorder lets ``detach()`` return its input there, keeps gradient recording on, and
so on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from gradflow.location import SiteTable
from gradflow.trace.grad_mode import region_site
from gradflow.trace.operation_kinds import DETACHING
from gradflow.trace.recorder import Recorder

__all__ = ["RepairPlan", "RepairingRecorder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairPlan:
    """What to neutralise: operations by ``(name, site)``, grad-mode regions by site."""

    operations: frozenset[tuple[str, int]] = frozenset()
    regions: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.operations or self.regions)


class RepairingRecorder(Recorder):
    """Records like any other, but does at the planned places what the user meant; ``applied`` counts how often."""

    def __init__(
        self, sites: SiteTable, plan: RepairPlan, before_write: Callable[[torch.Tensor], None] | None = None
    ) -> None:
        super().__init__(sites, before_write)
        self.plan = plan
        self.applied = 0

    def record(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        kind: int,
        name: int,
        text: str,
    ) -> Any:
        """Neutralise the operation where it is planned; otherwise record it."""
        if (text, self.sites.number(sys._getframe(2))) in self.plan.operations:
            replacement = _neutral(text, args, kwargs)
            if replacement is not None:
                self.applied += 1
                return replacement
        return super().record(func, args, kwargs, kind, name, text)

    def record_call(
        self, name: str, function: Callable[[], Any], inputs: Any, *, depth: int = 1, inner: bool = False
    ) -> Any:
        """The same for what the function mode does not see."""
        planned = (name, self.sites.number(sys._getframe(depth + 1))) in self.plan.operations
        if planned and name == "Parameter" and isinstance(inputs[0], torch.Tensor):
            self.applied += 1
            return inputs[0]
        return super().record_call(name, function, inputs, depth=depth + 1, inner=inner)

    def _change_grad_mode(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        if not args[0] and torch.is_grad_enabled() and region_site(self.sites, sys._getframe(2)) in self.plan.regions:
            self.applied += 1
            return func(True)
        return super()._change_grad_mode(func, args)

    def refuses_inference(self) -> bool:
        """Whether the ``inference_mode`` region that is being entered is to be left out."""
        if region_site(self.sites, sys._getframe(2)) in self.plan.regions:
            self.applied += 1
            return True
        return False


def _neutral(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    if not args:
        return None
    if name in DETACHING and isinstance(args[0], torch.Tensor):
        return args[0]
    if name == "item" and isinstance(args[0], torch.Tensor):
        return args[0].reshape(())
    if name in ("tensor", "as_tensor", "new_tensor"):
        data = args[1] if name == "new_tensor" and len(args) > 1 else args[0]
        stacked = _stack(data)
        dtype = kwargs.get("dtype")
        return stacked if stacked is None or dtype is None else stacked.to(dtype)
    return None


def _stack(data: Any) -> torch.Tensor | None:
    """Nested lists of tensors and numbers as one tensor with history."""
    if isinstance(data, torch.Tensor):
        return data.clone()
    if isinstance(data, (list, tuple)) and data:
        parts = [_stack(item) for item in data]
        if any(part is None for part in parts):
            return None
        return torch.stack([part for part in parts if part is not None])
    if isinstance(data, (int, float)):
        return torch.as_tensor(data, dtype=torch.get_default_dtype())
    return None
