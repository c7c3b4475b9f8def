"""Checks the backward of a custom ``autograd.Function`` against central differences of its own forward.

By itself and at the values of the run, in float64 where it can: far cheaper and sharper than moving the whole network.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from gradflow.probe.central_differences import SINGLE_STEPS, STEPS, Comparison, Quotient, compare
from gradflow.probe.flat_forward import is_flat, passes_where_flat
from gradflow.probe.formula_check import FormulaCheck
from gradflow.probe.lone_function import LoneFunction, noise_like, size_of
from gradflow.record.backward.dense_values import as_real, inner_product, is_something
from gradflow.record.calls.applications import Application
from gradflow.record.conduct.whose_error import is_ours, reason_of
from gradflow.source.custom_backward import formula_spans

__all__ = ["check_formula"]

_SEEDS = (1, 2)
_DIRECTIONS = 3
_FAR = 30.0
_JITTER = 0.01
_TOLERANCE = {torch.float64: 1e-3, torch.float32: 3e-2}


def check_formula(application: Application, argument: int, used: Sequence[bool]) -> FormulaCheck:
    """Compare what ``backward`` returns for one input with the derivative of ``forward``.

    Parameters
    ----------
    application
        A Function and the arguments it was given.
    argument
        Position of the input among the arguments.
    used
        For each output tensor whether anything was made of it.
    """
    cls = application.function
    span, return_span = formula_spans(cls, argument)
    base = FormulaCheck(
        function=cls.__name__,
        operation=application.operation,
        argument=argument,
        argument_name=_argument_name(cls, argument),
        outcome="undetermined",
        span=span,
        return_span=return_span,
    )
    given = application.arguments[argument]
    if not isinstance(given, torch.Tensor) or not given.is_floating_point():
        return replace(base, reason="its input is not a tensor of real numbers")
    try:
        subject, dtype = _prepare(application, argument, used)
        if subject is None:
            return replace(base, reason="two calls with the same arguments give different results")
        return _judged(base, subject, application, used, dtype)
    except Exception as error:  # noqa: BLE001  (whatever a user's Function raises by itself is the reason)
        return replace(base, reason=reason_of(error, "it cannot be called by itself"))


def _prepare(application: Application, argument: int, used: Sequence[bool]) -> tuple[LoneFunction | None, torch.dtype]:
    """The Function in the highest precision in which it computes what it did in the run."""
    as_given = LoneFunction(application, argument, used, None)
    expected = as_given(as_given.point)
    if not _alike(expected, as_given(as_given.point), 0.0):
        return None, as_given.point.dtype
    try:
        wide = LoneFunction(application, argument, used, torch.float64)
        outputs = wide(wide.point)
        # compiled kernels may read memory of another dtype than they were written for
        if all(as_real(output).dtype == torch.float64 for output in outputs) and _alike(expected, outputs, 0.05):
            return wide, torch.float64
    except Exception as error:  # it does not accept float64: then as it was given
        if is_ours(error):
            raise
    single = LoneFunction(application, argument, used, torch.float32)
    single(single.point)
    return single, torch.float32


def _alike(expected: Sequence[torch.Tensor], found: Sequence[torch.Tensor], tolerance: float) -> bool:
    if len(expected) != len(found):
        return False
    for one, other in zip(expected, found, strict=True):
        if one.shape != other.shape:
            return False
        expected_values = as_real(one).double()
        difference = torch.nan_to_num(expected_values - as_real(other).double())
        if float(difference.norm()) > tolerance * float(torch.nan_to_num(expected_values).norm()):
            return False
    return True


def _judged(
    base: FormulaCheck, subject: LoneFunction, application: Application, used: Sequence[bool], dtype: torch.dtype
) -> FormulaCheck:
    base = replace(base, dtype=str(dtype).removeprefix("torch."))
    comparisons = []
    for seed in _SEEDS:
        comparison = _compared(subject, dtype, seed)
        if comparison.outcome == "agrees":
            return replace(base, outcome="right")
        comparisons.append(comparison)
    point = _jittered(subject, _SEEDS[0])
    outputs = subject(point)
    if len(outputs) == 1 and _is_same(outputs[0], point):
        return _judged_identity(base, subject, point, outputs[0])
    if _is_unread(subject, point, outputs):
        return replace(base, reason="its forward gives the same whatever this argument is: it may read it another way")
    if _is_surrogate(subject, application, used, dtype, point):
        return replace(base, outcome="straight-through")
    if any(comparison.outcome != "differs" for comparison in comparisons):
        return replace(base, reason="the differences of its forward do not settle at any step size")
    base = replace(base, relative_error=min(comparison.relative_error for comparison in comparisons))
    if passes_where_flat(subject, point, dtype):
        return replace(base, outcome="passes-where-flat")
    return replace(base, outcome="wrong")


def _compared(subject: LoneFunction, dtype: torch.dtype, seed: int) -> Comparison:
    generator = torch.Generator().manual_seed(seed)
    point = _jittered(subject, seed)
    scale = size_of(point)
    outputs = subject(point)
    samples = []
    predicted = []
    for _ in range(_DIRECTIONS):
        direction = noise_like(point, generator)
        cotangents = [noise_like(output, generator) for output in outputs]
        gradient = subject.pullback(point, cotangents)
        predicted.append(0.0 if gradient is None else inner_product(gradient, direction))
        rounding = _rounding(outputs, cotangents, dtype)
        samples.append((direction, cotangents, rounding))

    def measure(number: int, step: float) -> Quotient:
        direction, cotangents, rounding = samples[number]
        length = step * scale
        above, below = subject(point + length * direction), subject(point - length * direction)
        total = sum(
            inner_product(cotangent, high - low) for cotangent, high, low in zip(cotangents, above, below, strict=True)
        )
        return Quotient(value=total / (2 * length), rounding=rounding / length)

    steps = STEPS if dtype == torch.float64 else SINGLE_STEPS
    return compare(predicted, measure, steps=steps, tolerance=_TOLERANCE[dtype])


def _rounding(outputs: Sequence[torch.Tensor], cotangents: Sequence[torch.Tensor], dtype: torch.dtype) -> float:
    products = [
        float((as_real(cotangent) * as_real(output)).double().norm())
        for cotangent, output in zip(cotangents, outputs, strict=True)
    ]
    return float(torch.finfo(dtype).eps) * math.hypot(*products)


def _jittered(subject: LoneFunction, seed: int) -> torch.Tensor:
    """The input moved a little off the kinks on which it may sit exactly, unless it then leaves the domain."""
    point = subject.point
    noise = noise_like(point, torch.Generator().manual_seed(seed + 100))
    for share in (_JITTER, 1e-2 * _JITTER):
        moved = point + share * size_of(point) * noise
        if all(bool(torch.isfinite(output).all()) for output in subject(moved)):
            return moved
    return point


def _is_same(output: torch.Tensor, point: torch.Tensor) -> bool:
    return output.numel() == point.numel() and torch.equal(output.reshape(-1), point.reshape(-1))


def _is_unread(subject: LoneFunction, point: torch.Tensor, outputs: Sequence[torch.Tensor]) -> bool:
    """Whether values of other signs and of another size change nothing, as they change every staircase.

    A forward may read the very tensor that it is also given, as an attribute of a module: there, moving a copy of the
    argument tells nothing.
    """
    noise = noise_like(point, torch.Generator().manual_seed(_SEEDS[0]))
    others = (-point, point + _FAR * size_of(point) * noise, torch.zeros_like(point))
    return all(
        all(torch.equal(one, other) for one, other in zip(outputs, subject(moved), strict=True)) for moved in others
    )


def _judged_identity(
    base: FormulaCheck, subject: LoneFunction, point: torch.Tensor, output: torch.Tensor
) -> FormulaCheck:
    """A Function whose forward does nothing exists for its backward."""
    generator = torch.Generator().manual_seed(_SEEDS[0])
    factors = []
    for _ in range(2):
        cotangent = noise_like(output, generator)
        gradient = subject.pullback(point, (cotangent,))
        if gradient is None:
            return replace(base, outcome="rescales", factor=0.0)
        flat, given = as_real(gradient).reshape(-1).double(), as_real(cotangent).reshape(-1).double()
        factor = float(flat @ given / (given @ given))
        if float((flat - factor * given).norm()) > 1e-5 * max(float(flat.norm()), 1e-300):
            return replace(base, outcome="replaces")
        factors.append(factor)
    if abs(factors[0] - factors[1]) > 1e-5 * abs(factors[0]):
        return replace(base, outcome="replaces")
    return replace(base, outcome="rescales", factor=factors[0])


def _is_surrogate(
    subject: LoneFunction, application: Application, used: Sequence[bool], dtype: torch.dtype, point: torch.Tensor
) -> bool:
    """Whether the forward is a staircase in this input, or in another one whose backward is not zero either.

    A quantiser with a learned step size has a staircase in its input; the formula for the step size belongs to it.
    """
    if is_flat(subject, point, dtype):
        return True
    generator = torch.Generator().manual_seed(_SEEDS[0])
    for position, value in enumerate(application.arguments):
        if not (isinstance(value, torch.Tensor) and value.requires_grad) or position == subject.argument:
            continue
        other = LoneFunction(application, position, used, dtype)
        where = _jittered(other, _SEEDS[0])
        if is_flat(other, where, dtype):
            gradient = other.pullback(where, [noise_like(output, generator) for output in other(where)])
            if gradient is not None and is_something(gradient):
                return True
    return False


def _argument_name(cls: Any, argument: int) -> str:
    try:
        names = list(inspect.signature(cls.forward).parameters)
    except (TypeError, ValueError):
        return ""
    has_context = cls.setup_context is torch.autograd.Function.setup_context
    names = names[1:] if has_context else names
    return names[argument] if argument < len(names) else ""
