"""``torch.utils.swap_tensors``, which refuses tensors that anybody refers to weakly, as the recording does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from gradflow.record.conduct.aside import Operation
from gradflow.record.patches import OwnNames, replace_function
from gradflow.record.recorder import Recorder

__all__ = ["SwappedTensors"]


class SwappedTensors:
    """Lets go of both tensors for the time of the call; ``forget`` does so for others that refer to tensors."""

    def __init__(self, recorder: Recorder, forget: Sequence[Callable[[torch.Tensor], None]]) -> None:
        self._recorder = recorder
        self._forget = forget

    @contextlib.contextmanager
    def watching(self, own: OwnNames) -> Iterator[None]:
        """Put the patch on, and off again."""
        with contextlib.ExitStack() as stack:
            swap = self._recorder.aside.around(self._swap, torch.utils.swap_tensors)
            replace_function(stack, torch.utils, "swap_tensors", swap, own)
            yield

    def _swap(self, operation: Operation, /, *args: Any, **kwargs: Any) -> Any:
        recorder = self._recorder
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
        values = []
        for tensor in tensors:
            for forget in self._forget:
                forget(tensor)
            values.append(recorder.tables.forget(tensor))
        try:
            return operation(*args, **kwargs)
        finally:
            # each variable goes on under its name, with the contents of the other one
            for tensor, value in zip(tensors, values, strict=True):
                if value >= 0:
                    recorder.tables.remember(tensor, value)
