"""Between which two neighbours on the way to the score a gradient stops being the derivative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gradflow.graph.dependence import Dependence
from gradflow.probe.derivative_check import DerivativeCheck
from gradflow.probe.directional import check_derivative
from gradflow.probe.laboratory import Laboratory
from gradflow.recording import Recording

__all__ = ["located", "modules_on_the_way"]

_MOST_HALVINGS = 5


def located(
    laboratory: Laboratory, recording: Recording, dependence: Dependence, target: str, check: DerivativeCheck
) -> DerivativeCheck:
    """The check of a target that differs, with what lies on both sides of the difference."""
    parameter = target if target in laboratory.parameters else ""
    after, before, count = _locate(laboratory, modules_on_the_way(recording, dependence, parameter))
    return replace(check, after=after or target, before=before, forward_count=check.forward_count + count)


def _locate(laboratory: Laboratory, modules: Sequence[str]) -> tuple[str, str, int]:
    """Between which two neighbours of ``modules``, on the way from target to score, a difference arises.

    What is wrong lies behind every module at whose output the derivative differs, and before every one at which it
    agrees. Returns the last of the former and the first of the latter (empty where there is none), and the number of
    forward passes.
    """
    before = laboratory.forward_count
    low, high = -1, len(modules)
    for _ in range(_MOST_HALVINGS):
        if high - low <= 1:
            break
        middle = (low + high) // 2
        outcome = check_derivative(laboratory, modules[middle]).outcome
        if outcome == "unclear":
            break
        low, high = (middle, high) if outcome == "differs" else (low, middle)
    after = modules[low] if low >= 0 else ""
    return after, modules[high] if high < len(modules) else "", laboratory.forward_count - before


def modules_on_the_way(recording: Recording, dependence: Dependence, parameter: str = "") -> tuple[str, ...]:
    """Modules that run once and whose output lies on the way from the target to the score, in its order.

    Before them the module that holds the parameter which is the target, where nothing else reads it: however often
    that runs, its outputs are compared together.
    """
    position = {value: number for number, value in enumerate(dependence.way)}
    found: dict[int, str] = {}
    for name, calls in recording.calls_by_module.items():
        outputs = [position[value] for value in calls[0].outputs[:1] if value in position]
        if name and not name.startswith("(") and len(calls) == 1 and outputs and outputs[0] > 0:
            found.setdefault(outputs[0], name)
    modules = tuple(found[number] for number in sorted(found))
    holder = parameter.rpartition(".")[0]
    if holder in modules or not holder or not _is_read_inside(recording, parameter, holder):
        return modules
    return holder, *modules


def _is_read_inside(recording: Recording, parameter: str, module: str) -> bool:
    """Whether every operation that reads a parameter runs within a call of a module."""
    ran = [range(call.first_operation, call.end_operation) for call in recording.calls_by_module.get(module, ())]
    values = frozenset(recording.layer_values.get(parameter, ()))
    readers = [row for row in range(len(recording)) if not values.isdisjoint(recording.inputs_of(row))]
    return bool(readers) and all(any(row in each for each in ran) for row in readers)
