"""Whether what got no gradient for one input gets one for other values of it: an expert that no token was sent to.

A part that the values of one input left out is no part that never learns.
"""

from __future__ import annotations

from typing import Any

import torch

from gradflow.load.trial.counting import without_data
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.other_runs.further import has_exits
from gradflow.probe.other_runs.other_values import with_other_values
from gradflow.record.conduct.whose_error import run_theirs
from gradflow.record.run import Run
from gradflow.record.seam.intervention import AS_IT_IS, Call, Intervention
from gradflow.recording import Recording
from gradflow.torch_facts.dispatch_modes import DispatchMode

__all__ = ["ValuesOfInput"]

_DECIDING = frozenset({torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape})
"""How torch itself tags operations of which Python learns a value, or a size that depends on values."""


class ValuesOfInput:
    """Runs of a model with other values of its input, as long as values can decide what runs."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._laboratory = laboratory
        self._can_decide: bool | None = None

    def run(self, number: int) -> Run | None:
        """The run of a number; ``None`` where no value can decide what runs, or where it failed."""
        laboratory = self._laboratory
        if not laboratory.has_values:
            return None
        if self._can_decide is None:
            self._can_decide = self._decides()
        if not self._can_decide:
            return None
        for reordered in (False, True):
            run = laboratory.forward(workload=with_other_values(laboratory.workload, number, reordered=reordered))
            if run.failure is None:
                return run
        return None

    def _decides(self) -> bool:
        """Whether Python learns values of the model's, in the run as it was."""
        laboratory = self._laboratory
        first = laboratory.first_trace
        if first is not None and has_exits(first, _end_of_model(first)):
            return True
        count = _RowCount()
        noting = _NotingTags(count)
        with noting:
            run = laboratory.forward(seam=count)
        return any(row < _end_of_model(run.recording) for row in noting.rows)


def _end_of_model(recording: Recording) -> int:
    """The first operation behind the model: what the score is chosen by decides nothing about what runs before."""
    return max((call.end_operation for call in recording.calls if call.parent < 0), default=len(recording))


class _RowCount(Intervention):
    """How many operations were recorded when the one began that runs now."""

    value = 0

    def before(self, call: Call) -> Any:
        """Count."""
        self.value = len(call.recorder.operations.name)
        return AS_IT_IS


class _NotingTags(DispatchMode):
    """Notes how many operations were recorded when one ran that gives Python a value, or a size by values."""

    def __init__(self, count: _RowCount) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._count = count
        self.rows: list[int] = []

    def __torch_dispatch__(self, func: Any, kinds: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not _DECIDING.isdisjoint(getattr(func, "tags", ())) and not _gives_the_same_without_data(func, args, kwargs):
            self.rows.append(self._count.value)
        return run_theirs(func, args, kwargs)


def _gives_the_same_without_data(func: Any, args: tuple[Any, ...], kwargs: Any) -> bool:
    """Whether the size is known without values, as of an index that is no mask."""
    try:
        func(*without_data(args), **without_data(kwargs))
    except Exception:  # noqa: BLE001  (no kernel without data: then it is not known to be so)
        return False
    return True
