"""What the user's own autograd Functions were given in a run."""

from __future__ import annotations

from typing import Any

from gradflow.record.calls.applications import Application, copied, is_custom
from gradflow.record.seam.intervention import AS_IT_IS, Call, Intervention

__all__ = ["GivenToFunctions"]

_PER_CLASS = 4
_TOGETHER = 32


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
