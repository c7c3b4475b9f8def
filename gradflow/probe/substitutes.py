"""Operations whose backward stands in for the derivative on purpose: quantisers, spikes, straight-through estimators.

What comes back through them is not the derivative, so a stop behind them takes nothing away from it; and how the score
moves tells nothing about what the gradient should be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gradflow.graph.dependence import CutGroup, value_inputs
from gradflow.probe.formula_check import FormulaCheck
from gradflow.recording import Recording

__all__ = ["is_behind", "substitutes"]

_STAND_IN = frozenset({"straight-through", "passes-where-flat", "replaces", "rescales"})


def substitutes(recording: Recording, formulas: Iterable[FormulaCheck]) -> frozenset[int]:
    """The operations of a run that hand on something else than their derivative, and are meant to."""
    rows = {check.operation for check in formulas if check.outcome in _STAND_IN}
    numbers = {number for number, name in enumerate(recording.names) if "fake_quantize" in name}
    if numbers:
        rows.update(row for row, number in enumerate(recording.operations.name) if number in numbers)
    return frozenset(rows)


def is_behind(recording: Recording, sources: Sequence[int], group: CutGroup, rows: frozenset[int]) -> bool:
    """Whether data of the target gets to a cut only through ``rows``."""
    if not rows:
        return False
    reached = set(sources)
    for row in range(len(recording)):
        if row not in rows and not reached.isdisjoint(value_inputs(recording, row)):
            reached.update(recording.outputs_of(row))
    cut_at = (group.value,) if group.value >= 0 else recording.inputs_of(max(group.leave, 0))
    return reached.isdisjoint(cut_at)
