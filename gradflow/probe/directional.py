"""Compares autograd's gradient at a target with how the score moves when the target is moved, in float64.

In float32 the rounding of a whole network drowns the differences; here are jitter against kinks (ReLU outputs that are
exactly zero, equal maxima in a pooling window), several step sizes, a noise gate, and two base points that must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.func import functional_call

from gradflow.graph.dependence import Dependence
from gradflow.probe.central_differences import STEPS, Comparison, Quotient, compare
from gradflow.probe.derivative_check import DerivativeCheck
from gradflow.probe.double_precision import DoubleCopies, DoublePrecision, in_double
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.lone_function import noise_like, size_of
from gradflow.program_warnings import warnings_as_without_gradflow
from gradflow.trace.capture import replace_tensor
from gradflow.trace.data import Trace
from gradflow.trace.run import eager_compilation

__all__ = ["check_derivative", "gradient_in_double", "locate_difference", "modules_on_the_way"]

_SEEDS = (1, 2)
_DIRECTIONS = 2
_JITTER = 0.01
_MOST_HALVINGS = 5
_MOST_BYTES = 8 * 1024**3

_Alter = Callable[[int, torch.Tensor], torch.Tensor]


def check_derivative(
    laboratory: Laboratory, target: str, index: Any = None, *, thorough: bool = True
) -> DerivativeCheck:
    """Compare the derivative of the score at a module's output, or at a parameter, with central differences.

    Five forward passes where it agrees, about thirty where it does not; without ``thorough``, three and five.

    Parameters
    ----------
    laboratory
        Runs the model; its state is put back before each run.
    target
        Qualified name of a module or parameter.
    index
        The part of the activation that is moved; all of it by default.
    thorough
        Otherwise a single direction at a single base point, for where a loss is suspected already.
    """
    before = laboratory.forward_count
    try:
        subject = _MovedModel(laboratory, target, index, thorough)
        comparisons: list[Comparison] = []
        for seed in _SEEDS if thorough else _SEEDS[:1]:
            comparisons.append(subject.compared(seed))
            if comparisons[-1].outcome == "agrees":
                break
    except Exception as error:  # noqa: BLE001  (whatever the model raises in float64 is the reason)
        text = " ".join(str(error).split())[:160]
        reason = f"the model cannot be run in float64: {type(error).__name__}: {text}"
        return DerivativeCheck(outcome="unclear", reason=reason, forward_count=laboratory.forward_count - before)
    count = laboratory.forward_count - before
    if comparisons[-1].outcome == "agrees":
        return DerivativeCheck(outcome="agrees", forward_count=count)
    if any(comparison.outcome != "differs" for comparison in comparisons):
        reason = "the differences of the score do not settle at any step size"
        return DerivativeCheck(outcome="unclear", reason=reason, forward_count=count)
    error_size = min(comparison.relative_error for comparison in comparisons)
    return DerivativeCheck(outcome="differs", relative_error=error_size, forward_count=count)


def gradient_in_double(laboratory: Laboratory, target: str) -> tuple[torch.Tensor | None, ...]:
    """The gradient at each call of the target with everything in float64; empty where the model cannot be run so."""
    try:
        return _MovedModel(laboratory, target, None, False).gradients()
    except Exception:  # noqa: BLE001  (whatever the model raises in float64: then nothing can be said)
        return ()


def locate_difference(laboratory: Laboratory, modules: Sequence[str]) -> tuple[str, str, int]:
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


def modules_on_the_way(trace: Trace, dependence: Dependence) -> tuple[str, ...]:
    """Modules that run once and whose output lies on the way from the target to the score, in its order."""
    position = {value: number for number, value in enumerate(dependence.way)}
    found: dict[int, str] = {}
    for name, calls in trace.calls_by_module.items():
        outputs = [position[value] for value in calls[0].outputs[:1] if value in position]
        if name and not name.startswith("(") and len(calls) == 1 and outputs and outputs[0] > 0:
            found.setdefault(outputs[0], name)
    return tuple(found[number] for number in sorted(found))


class _MovedModel:
    """The score as a function of what is added to the target's output at each of its calls."""

    def __init__(self, laboratory: Laboratory, target: str, index: Any, thorough: bool) -> None:
        workload = laboratory.workload
        self._laboratory = laboratory
        self._target = target
        self._index = index
        self._direction_count, self._enough = (_DIRECTIONS, 3) if thorough else (1, 2)
        self._workload = workload
        self._is_parameter = target in laboratory.parameters
        tensors = (*workload.model.parameters(), *workload.model.buffers())
        if sum(tensor.numel() for tensor in tensors) * 8 > _MOST_BYTES:
            raise MemoryError("its parameters in float64 would take more than 8 GiB")
        self._copies = DoubleCopies(workload.model)
        if self._is_parameter and target not in self._copies.fresh():
            raise LookupError(f"`{target}` is not registered, so it cannot be replaced")

    def gradients(self) -> tuple[torch.Tensor | None, ...]:
        """Autograd's answer, where the target is as it is."""
        points: list[torch.Tensor] = []

        def look(call: int, value: torch.Tensor) -> torch.Tensor:
            points.append(value if value.requires_grad else value.requires_grad_())
            return value.clone()

        score = self._score(look)
        return torch.autograd.grad(score, points, allow_unused=True) if points else ()

    def compared(self, seed: int) -> Comparison:
        """Autograd against differences around one jittered base point."""
        points: list[torch.Tensor] = []

        def jitter(call: int, value: torch.Tensor) -> torch.Tensor:
            noise = noise_like(value, _generator(seed, call, 0))
            return value + _JITTER * size_of(value.detach()) * noise

        def look(call: int, value: torch.Tensor) -> torch.Tensor:
            point = jitter(call, value)
            point = point if point.requires_grad else point.requires_grad_()
            points.append(point)
            # what follows may change what it gets in place
            return point.clone()

        score = self._score(look)
        if not points:
            raise LookupError(f"`{self._target}` gave no tensor")
        gradients: Sequence[Any] = torch.autograd.grad(score, points, allow_unused=True)
        sizes = [size_of(point.detach()) for point in points]
        base = float(score.detach())
        predicted = [0.0] * self._direction_count
        for call, (point, gradient) in enumerate(zip(points, gradients, strict=True)):
            for number in range(self._direction_count if gradient is not None else 0):
                along = self._direction(seed, number, call, point)
                predicted[number] += sizes[call] * float((gradient * along).sum())
        points.clear()
        del score, gradients

        def moved(number: int, step: float) -> float:
            def alter(call: int, value: torch.Tensor) -> torch.Tensor:
                if call >= len(sizes):
                    return value
                point = jitter(call, value)
                return point + step * sizes[call] * self._direction(seed, number, call, point)

            return float(self._score(alter).detach())

        def quotient(number: int, step: float) -> Quotient:
            difference = moved(number, step) - moved(number, -step)
            rounding = torch.finfo(torch.float64).eps * abs(base) / step
            return Quotient(value=difference / (2 * step), rounding=rounding)

        return compare(predicted, quotient, steps=STEPS, enough=self._enough)

    def _direction(self, seed: int, number: int, call: int, like: torch.Tensor) -> torch.Tensor:
        direction = noise_like(like, _generator(seed, call, number + 1))
        if self._index is None:
            return direction
        mask = torch.zeros_like(direction)
        mask[self._index] = 1
        return direction * mask

    def _score(self, alter: _Alter) -> torch.Tensor:
        workload, laboratory = self._workload, self._laboratory
        laboratory.rewind()
        laboratory.forward_count += 1
        state = self._copies.fresh()
        inputs, keywords = in_double(tuple(workload.inputs)), in_double(dict(workload.keyword_inputs))
        calls = 0

        def hook(module: torch.nn.Module, arguments: Any, output: Any) -> Any:
            nonlocal calls
            call, calls = calls, calls + 1
            return replace_tensor(output, lambda tensor: alter(call, tensor.clone()))[0]

        handle = None
        if self._is_parameter:
            moved = alter(0, state[self._target])
            replaced = state[self._target]
            state = {name: moved if tensor is replaced else tensor for name, tensor in state.items()}
        else:
            handle = workload.model.get_submodule(self._target).register_forward_hook(hook)
        try:
            with torch.enable_grad(), eager_compilation(), warnings_as_without_gradflow(), DoublePrecision().running():
                output = functional_call(workload.model, state, inputs, keywords)
                score, _, _ = workload.objective.compute(output)
        finally:
            if handle is not None:
                handle.remove()
        if score.dtype != torch.float64:
            raise TypeError(f"its score comes out in {str(score.dtype).removeprefix('torch.')}")
        return score


def _generator(seed: int, call: int, number: int) -> torch.Generator:
    return torch.Generator().manual_seed(1_000_003 * seed + 1_009 * call + number)
