"""What the user's own autograd Functions were given in a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from gradflow.record.seam.intervention import AS_IT_IS, Call, Intervention
from gradflow.values import mapped

__all__ = ["Application", "GivenToFunctions", "is_custom"]

_PER_CLASS = 4
_TOGETHER = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One ``apply``: the class, its row, and detached copies of the arguments as they were before it."""

    function: type
    operation: int
    arguments: tuple[Any, ...]


def is_custom(function: type) -> bool:
    """Whether an autograd Function was written outside torch."""
    return function.__module__.partition(".")[0] not in ("torch", "gradflow")


class GivenToFunctions(Intervention):
    """Keeps what custom Functions are given: the first few times each."""

    def __init__(self) -> None:
        self.applications: list[Application] = []
        self._counts: dict[type, int] = {}

    def before(self, call: Call) -> Any:
        """Copy the arguments first: a Function may change them in place."""
        cls = call.function
        if cls is not None and is_custom(cls) and len(self.applications) < _TOGETHER:
            self._counts[cls] = self._counts.get(cls, 0) + 1
            if self._counts[cls] <= _PER_CLASS:
                call.memo = copied(call.arguments)
        return AS_IT_IS

    def after(self, call: Call, result: Any) -> Any:
        """Keep them, with the row of the Function."""
        if call.function is not None and call.memo is not None:
            row = len(call.recorder.operations.name) - 1
            self.applications.append(Application(function=call.function, operation=row, arguments=call.memo))
        return result


def copied(value: Any) -> Any:
    """The same nested value with detached copies of its tensors, which keep their ``requires_grad``."""
    return mapped(value, _detached_copy, afresh=True)


def _detached_copy(part: Any) -> Any:
    if not isinstance(part, torch.Tensor):
        return part
    with torch.no_grad():
        copy = part.detach().clone()
    return copy.requires_grad_(part.requires_grad)
