"""What the user's own autograd Functions were given in a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from gradflow.location import SiteTable
from gradflow.trace.recorder import Recorder

__all__ = ["Application", "ArgumentRecorder", "is_custom"]

_PER_CLASS = 4
_TOGETHER = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One ``apply``: the class, its row in the trace, and detached copies of the arguments as they were before it."""

    function: type
    operation: int
    arguments: tuple[Any, ...]


def is_custom(function: type) -> bool:
    """Whether an autograd Function was written outside torch."""
    return function.__module__.partition(".")[0] not in ("torch", "gradflow")


class ArgumentRecorder(Recorder):
    """Records like any other, and keeps what custom Functions are given: the first few times each."""

    def __init__(self, sites: SiteTable, before_write: Callable[[torch.Tensor], None] | None = None) -> None:
        super().__init__(sites, before_write)
        self.applications: list[Application] = []
        self._counts: dict[type, int] = {}

    def record_call(
        self, name: str, function: Callable[[], Any], inputs: Any, *, depth: int = 1, inner: bool = False
    ) -> Any:
        """Copy the arguments first: a Function may change them in place."""
        cls = self.functions.get(name) if name.endswith(".apply") else None
        kept = None
        if cls is not None and is_custom(cls) and len(self.applications) < _TOGETHER:
            self._counts[cls] = self._counts.get(cls, 0) + 1
            if self._counts[cls] <= _PER_CLASS:
                self.suspended += 1
                try:
                    kept = copied(tuple(inputs))
                finally:
                    self.suspended -= 1
        result = super().record_call(name, function, inputs, depth=depth + 1, inner=inner)
        if cls is not None and kept is not None:
            row = len(self.operations.name) - 1
            self.applications.append(Application(function=cls, operation=row, arguments=kept))
        return result


def copied(value: Any) -> Any:
    """Detached copies of the tensors in nested lists, tuples and dicts, which keep their ``requires_grad``."""
    if isinstance(value, torch.Tensor):
        with torch.no_grad():
            copy = value.detach().clone()
        return copy.requires_grad_(value.requires_grad)
    if type(value) in (list, tuple):
        return type(value)(copied(item) for item in value)
    if type(value) is dict:
        return {key: copied(item) for key, item in value.items()}
    return value
