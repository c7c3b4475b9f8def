"""Which tensors gradflow's own runs made: only these were left behind by a run, whatever else has come meanwhile."""

from __future__ import annotations

import weakref
from typing import Any, Protocol

import torch
from torch.overrides import TorchFunctionMode

from gradflow.record.conduct.whose_error import run_theirs, stepping_aside
from gradflow.record.operations.nested import nested_tensors

__all__ = ["NotingMode", "OfRuns", "TensorsOfRun"]


class TensorsOfRun(Protocol):
    """Knows the tensors of one run, which other threads have no part in."""

    def is_made(self, tensor: torch.Tensor) -> bool:
        """Whether the run made it: it is not one that was there before, changed or handed through."""

    def is_met(self, tensor: torch.Tensor) -> bool:
        """Whether the run made it or read it."""


class OfRuns:
    """Some runs.

    Attributes
    ----------
    is_alone
        Whether no other thread ran meanwhile: what has changed since was changed by the runs.
    """

    __slots__ = ("_runs", "is_alone")

    def __init__(self, *, is_alone: bool = False) -> None:
        self._runs: list[TensorsOfRun] = []
        self.is_alone = is_alone

    def add(self, run: TensorsOfRun) -> None:
        """One more, which may still go on."""
        self._runs.append(run)

    def left(self, value: Any) -> bool:
        """Whether the runs have left a value where it is new: it is, or holds, a tensor, and one that they made."""
        is_made = (self.is_alone or any(run.is_made(one) for run in self._runs) for one in nested_tensors(value))
        return any(is_made)

    def changed(self, value: Any) -> bool:
        """Whether it must have been the runs that took away, or replaced, a value that is, or holds, a tensor."""
        return self.is_alone and any(True for _ in nested_tensors(value))

    def met(self, value: Any) -> bool:
        """Whether a value is, or holds, a tensor that one of the runs made or read."""
        return any(run.is_met(one) for one in nested_tensors(value) for run in self._runs)


class TensorNotes:
    """The tensors of a run that is not recorded; they are referred to weakly."""

    __slots__ = ("_made", "_read")

    def __init__(self) -> None:
        self._made: dict[int, weakref.ref[torch.Tensor]] = {}
        self._read: dict[int, weakref.ref[torch.Tensor]] = {}

    def note_read(self, arguments: Any) -> None:
        """An operation is given these."""
        for tensor in nested_tensors(arguments):
            if not self.is_met(tensor):
                self._read[id(tensor)] = weakref.ref(tensor)

    def note_made(self, result: Any) -> None:
        """The same operation has returned this."""
        if isinstance(result, (torch.Tensor, tuple, list)):
            for tensor in nested_tensors(result):
                if not self.is_met(tensor):
                    self._made[id(tensor)] = weakref.ref(tensor)

    def is_made(self, tensor: torch.Tensor) -> bool:
        """Whether an operation of the run returned it that was not given it, nor one before."""
        return _holds(self._made, tensor)

    def is_met(self, tensor: torch.Tensor) -> bool:
        """Whether it was noted."""
        return _holds(self._made, tensor) or _holds(self._read, tensor)


def _holds(noted: dict[int, weakref.ref[torch.Tensor]], tensor: torch.Tensor) -> bool:
    reference = noted.get(id(tensor))
    return reference is not None and reference() is tensor


class NotingMode(TorchFunctionMode):
    """Notes the tensors of a run that nothing else records."""

    def __init__(self) -> None:
        super().__init__()
        self.failed: Exception | None = None
        self.notes = TensorNotes()
        self._note_read = stepping_aside(self.notes.note_read, self._step_aside)
        self._note_made = stepping_aside(self.notes.note_made, self._step_aside)

    def _step_aside(self, error: Exception) -> None:
        """What is not noted is left where it is."""
        self.failed = self.failed or error

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.failed is None:
            self._note_read((args, kwargs))
        result = run_theirs(function, args, kwargs)
        if self.failed is None:
            self._note_made(result)
        return result
