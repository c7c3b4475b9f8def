"""Whether autograd's gradient at a layer is the derivative: compared with central differences in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from gradflow.checking import check_workload
from gradflow.errors import GradflowError, UsageError
from gradflow.layers.names import module_named, resolve_layers
from gradflow.load.loading import workload_from_objects
from gradflow.load.workload import Workload
from gradflow.probe.central_differences import Comparison, Quotient, compare
from gradflow.probe.gradient import differentiate
from gradflow.probe.laboratory import Laboratory
from gradflow.record.failure import model_raised
from gradflow.record.run import Run
from gradflow.record.state import preserved
from gradflow.report import Report
from gradflow.run_setting import recording_allowed
from gradflow.testing.asserting import assertion
from gradflow.testing.connection import require_connected
from gradflow.testing.failure import GradientAssertionError
from gradflow.values import mapped

__all__ = ["assert_gradient_matches"]

_DIRECTIONS = 2
_JITTER = 0.01
"""How far the point is moved where the derivative is taken, in standard deviations: away from exact kinks, such as the
zeros that a ReLU gives to a max-pooling, at which difference quotients of every step size are wrong."""
_ATTEMPTS = 2
_EPSILON = torch.finfo(torch.float64).eps


@assertion
def assert_gradient_matches(
    model: torch.nn.Module,
    layer: str,
    inputs: Any = None,
    *,
    target: int | str | None = None,
    score: Callable[[Any], Any] | None = None,
    output: str | None = None,
    tolerance: float = 1e-3,
) -> Report:
    """Assert that the gradient at a layer is the derivative of the score, by measuring how the score changes.

    Along random directions ``v`` of the layer's activation ``a``, ``<gradient, v>`` is compared with
    ``(s(a + hv) - s(a - hv)) / 2h`` for several ``h``, on a float64 copy of the model. This finds what no other check
    can: a custom backward with a wrong formula, or a cut that is invisible to torch. A straight-through estimator
    fails by design.

    Parameters
    ----------
    model, layer, inputs, target, score, output
        As for :func:`gradflow.check`.
    tolerance
        Largest relative error that passes.

    Raises
    ------
    GradientAssertionError
        When no gradient arrives, or another one than was measured.
    GradflowError
        When the check cannot be carried out, or the score is too rough to be differentiated by differences.
    """
    report = require_connected(
        check_workload(workload_from_objects(model, inputs, target=target, score=score, output=output), [layer])
    )
    given = report.score.target if target is None and score is None else target
    workload = _in_double(workload_from_objects(model, inputs, target=given, score=score, output=output))
    name = resolve_layers(workload.model, [layer])[0]
    comparison = Comparison(outcome="unclear")
    for seed in range(_ATTEMPTS):
        comparison = _compared(workload, name, seed, tolerance)
        if comparison.outcome == "agrees":
            return report
    if comparison.outcome == "unclear":
        raise GradflowError(
            f"whether the gradient at `{layer}` is right cannot be told",
            note="difference quotients of no two step sizes agree: the score jumps, is random, or hardly changes",
            hint="put dropout into eval mode, or give a smooth `score`",
        )
    raise GradientAssertionError(
        f"the gradient at `{layer}` is not the derivative of {report.score.description}: "
        f"it is off by {comparison.relative_error:.1%} from what was measured",
        report,
    )


def _compared(workload: Workload, layer: str, seed: int, tolerance: float) -> Comparison:
    inputs = (*workload.inputs, *workload.keyword_inputs.values())
    module = module_named(workload.model, layer)
    with recording_allowed(workload), preserved(workload.model, inputs) as keeper:
        laboratory = Laboratory(workload, keeper, {layer: module}, {})
        run = laboratory.forward(alter=_moved(seed, {}))
        if laboratory.reach_of_move(layer).reason:
            return Comparison(outcome="unclear")
        score = _score(run)
        gradients = {
            call: gradient
            for call, gradient in enumerate(differentiate(run, {}).by_target[layer])
            if gradient is not None
        }
        sizes = [
            {call: _direction(g, 1000 * seed + 10 * number + call) for call, g in gradients.items()}
            for number in range(_DIRECTIONS)
        ]
        predicted = [sum(float((gradients[call] * v).sum()) for call, v in along.items()) for along in sizes]

        def measure(number: int, step: float) -> Quotient:
            up, down = (
                _score(
                    laboratory.forward(alter=_moved(seed, {call: sign * step * v for call, v in sizes[number].items()}))
                )
                for sign in (1, -1)
            )
            return Quotient(value=(up - down) / (2 * step), rounding=_EPSILON * abs(score) / step)

        return compare(predicted, measure, tolerance=tolerance)


def _score(run: Run) -> float:
    if run.failure is not None:
        raise model_raised(run.failure)
    if run.live.score is None:
        raise UsageError("there is no score to be differentiated")
    if run.unmoved:
        raise UsageError("the output of this layer cannot be moved", note=run.unmoved)
    return float(run.live.score.detach())


def _direction(like: torch.Tensor, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like.device)


def _moved(seed: int, steps: Mapping[int, torch.Tensor]) -> Callable[[str, int, torch.Tensor], torch.Tensor]:
    """Moves the activation to the point at which the derivative is taken, and by a step from there."""

    def alter(layer: str, call: int, activation: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            spread = activation.detach().std(correction=0) if activation.numel() > 1 else 1.0
            move = _JITTER * spread * _direction(activation, 77 + 100 * seed + call)
            if call in steps:
                move = move + steps[call]
        return activation + move

    return alter


def _in_double(workload: Workload) -> Workload:
    """A copy of the workload in float64: in float32, rounding hides errors of several percent."""
    try:
        model = copy.deepcopy(workload.model).double()
    except Exception as error:
        raise GradflowError(
            f"`{workload.model_name}` cannot be copied, and its gradient is measured on a float64 copy",
            note=f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}",
        ) from error
    return replace(
        workload,
        model=model,
        inputs=tuple(map(_double, workload.inputs)),
        keyword_inputs={name: _double(value) for name, value in workload.keyword_inputs.items()},
    )


def _double(value: Any) -> Any:
    def doubled(part: Any) -> Any:
        return part.detach().double() if isinstance(part, torch.Tensor) and part.is_floating_point() else part

    return mapped(value, doubled)
