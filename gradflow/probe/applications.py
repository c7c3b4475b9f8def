"""What the user's own autograd Functions were given in a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from gradflow.record.calls.applications import Application, copied, is_custom
from gradflow.record.operations.tensor_facts import requires_grad
from gradflow.record.seam.intervention import AS_IT_IS, Call, Intervention
from gradflow.values import leaves_in

__all__ = ["GivenToFunctions"]

_PER_KIND = 4
"""So many calls of each Function are kept for each kind of arguments; the others are counted."""


class GivenToFunctions(Intervention):
    """Keeps what custom Functions are given: the first few times each, for each kind of arguments."""

    def __init__(self) -> None:
        self.applications: list[Application] = []
        self._counts: Counter[tuple[object, ...]] = Counter()

    def before(self, call: Call) -> Any:
        """Copy the arguments first: a Function may change them in place."""
        cls = call.function
        if cls is not None and is_custom(cls):
            kind = cls, *_kinds(call.arguments)
            self._counts[kind] += 1
            if self._counts[kind] <= _PER_KIND:
                call.memo = copied(call.arguments)
        return AS_IT_IS

    def after(self, call: Call, result: Any) -> Any:
        """Keep them, with the row of the Function."""
        if call.function is not None and call.memo is not None:
            row = len(call.recorder.operations.name) - 1
            self.applications.append(Application(function=call.function, operation=row, arguments=call.memo))
        return result


def _kinds(arguments: Sequence[Any]) -> Iterator[object]:
    """What a Function may branch on: its switches; of each tensor the type, how many axes, whether it requires grad."""
    for leaf in leaves_in(arguments):
        if isinstance(leaf, torch.Tensor):
            yield leaf.dtype, leaf.dim(), requires_grad(leaf)
        else:
            yield leaf if isinstance(leaf, (bool, str)) else type(leaf)
