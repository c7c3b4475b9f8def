"""Which custom autograd Functions lie on the way from the target to the score, and whether their backward is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from gradflow.graph.dependence import Dependence
from gradflow.probe.custom_formula import check_formula
from gradflow.probe.formula_check import FormulaCheck
from gradflow.probe.laboratory import Laboratory
from gradflow.record.calls.applications import is_custom
from gradflow.recording import Recording

__all__ = ["check_custom_functions"]


def check_custom_functions(
    laboratory: Laboratory, recording: Recording, dependence: Dependence, functions: Mapping[str, type]
) -> tuple[FormulaCheck, ...]:
    """Check each custom Function through which the target's gradient comes; one more forward where there is any.

    Of one that is called many times, the first calls of each kind are compared: the others are assumed to be alike.
    """
    names = {name for name, cls in functions.items() if is_custom(cls)}
    if not names:
        return ()
    inputs = {
        row: found for row in range(len(recording)) if (found := _inputs_on_the_way(recording, dependence, row, names))
    }
    if not inputs:
        return ()
    checks: list[FormulaCheck] = []
    for application in laboratory.applications():
        used = [bool(dependence.reaches[value]) for value in recording.outputs_of(application.operation)]
        checks.extend(check_formula(application, argument, used) for argument in inputs.get(application.operation, ()))
    calls = Counter(name for row in range(len(recording)) if (name := recording.name_of(row)) in names)
    kept = Counter(recording.name_of(application.operation) for application in laboratory.applications())
    for name, count in calls.items():
        if kept[name] < count:
            shown = name.removesuffix(".apply")
            text = f"one formula in all calls of `{shown}`: of {count}, {kept[name]} were compared with its forward"
            laboratory.assumed[text] = None
    return tuple(checks)


def _inputs_on_the_way(recording: Recording, dependence: Dependence, row: int, names: set[str]) -> tuple[int, ...]:
    """The positions of the arguments of an ``apply`` that bring the target's gradient history to the score."""
    if recording.name_of(row) not in names:
        return ()
    if not any(dependence.reaches[value] and dependence.carries[value] for value in recording.outputs_of(row)):
        return ()
    columns = recording.operations
    start, end = columns.input_start[row], columns.input_start[row + 1]
    pairs = zip(columns.inputs[start:end], columns.argument[start:end], strict=True)
    return tuple(sorted({argument for value, argument in pairs if dependence.carries[value]}))
