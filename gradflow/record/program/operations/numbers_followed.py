"""Shows operations to :class:`Numbers`: those that give numbers, and afterwards those that may bring them back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from gradflow.record.operations.kinds import CAPSULES, EXITS, FROM_ARRAYS, IMPORTS, VALUE_EXITS
from gradflow.record.program.numbers import Numbers
from gradflow.record.recorder import Recorder

__all__ = ["follow_numbers"]


def follow_numbers(recorder: Recorder, numbers: Numbers) -> None:
    """Nobody looks at operations one by one before a number has left."""

    def leave(row: int, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        # nothing can be read of a capsule before somebody has taken it over: it has the numbers of its tensor
        numbers.leave(row, args[0] if recorder.tables.name_of(row) in CAPSULES else result)
        if use not in recorder.recorded.followers:
            recorder.recorded.followers.append(use)
            recorder.tables.met.append(numbers.meet)

    def use(row: int, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        name = recorder.tables.name_of(row)
        if name in IMPORTS:
            if isinstance(result, torch.Tensor):
                numbers.enter(row, result)
        elif name not in EXITS:
            numbers.use(row, (*args, *kwargs.values()))

    recorder.recorded.look_after(VALUE_EXITS, leave)
    recorder.announced.observers.append(_Imports(numbers))


class _Imports:
    """Tensors that are made of arrays in calls that no function mode sees."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    def before(self, name: str, function: type | None, inputs: tuple[Any, ...], *, inner: bool) -> None:
        """Nothing is to be kept."""

    def after(self, memo: Any, row: int, name: str, result: Any) -> None:
        """The numbers of the array are back."""
        if name in FROM_ARRAYS and isinstance(result, torch.Tensor):
            self._numbers.enter(row, result)

    def leave(self, memo: Any) -> None:
        """Nothing was begun."""
