"""The backward of a custom Function against its own forward: right, wrong, or not meant to be the derivative."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from gradflow.probe.custom_formula import check_formula
from gradflow.probe.formula_check import FormulaCheck
from gradflow.record.calls.applications import Application, is_custom

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

Function = torch.autograd.Function


@pytest.fixture(autouse=True)
def _random_state_as_found() -> Iterator[None]:
    with torch.random.fork_rng():
        yield


def check(cls: Any, *arguments: Any, argument: int = 0, used: tuple[bool, ...] = (True,)) -> FormulaCheck:
    return check_formula(Application(function=cls, operation=0, arguments=arguments), argument, used)


def values(*shape: int, seed: int = 0, requires_grad: bool = True) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).requires_grad_(requires_grad)


class Tanh(Function):
    @staticmethod
    def forward(ctx, x):
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return grad * (1 - y * y)


class TanhNotSquared(Tanh):
    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        grad_x = None
        grad_x = grad * (1 - y)
        return grad_x  # noqa: RET504


class Linear(Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x @ weight.t()

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        return grad @ weight, grad.t() @ x


class LinearWrongWeight(Linear):
    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        return grad @ weight, 2 * grad.t() @ x


class LinearNoWeight(Linear):
    @staticmethod
    def backward(ctx, grad):
        _, weight = ctx.saved_tensors
        return grad @ weight, None


class ReluMasked(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        grad_x = grad.clone()
        grad_x[x < 0] = 0
        return grad_x


class ReluUnmasked(ReluMasked):
    @staticmethod
    def backward(ctx, grad):
        return grad


class ReluWrongMask(ReluMasked):
    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        grad_x = grad.clone()
        grad_x[x > 0] = 0
        return grad_x


class GuidedRelu(ReluMasked):
    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad.clamp(min=0) * (x > 0)


class RoundStraightThrough(Function):
    @staticmethod
    def forward(ctx, x, levels):
        return torch.round(x * levels) / levels

    @staticmethod
    def backward(ctx, grad):
        return grad, None


class LearnedStep(Function):
    """Learned step size quantisation (Esser et al., 2020): the formula for the step size is a surrogate, too."""

    @staticmethod
    def forward(ctx, x, step):
        ctx.save_for_backward(x, step)
        return torch.round(x / step) * step

    @staticmethod
    def backward(ctx, grad):
        x, step = ctx.saved_tensors
        return grad, (grad * (torch.round(x / step) - x / step)).sum().reshape(step.shape)


class OneHotOfLargest(Function):
    @staticmethod
    def forward(ctx, logits):
        ctx.save_for_backward(logits)
        return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)

    @staticmethod
    def backward(ctx, grad):
        (logits,) = ctx.saved_tensors
        p = logits.softmax(-1)
        return p * (grad - (grad * p).sum(-1, keepdim=True))


class Reverse(Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return -ctx.factor * grad, None


class Stop(Reverse):
    @staticmethod
    def backward(ctx, grad):
        return None, None


class Clip(Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad.clamp(-0.1, 0.1)


class Dropout(Function):
    @staticmethod
    def forward(ctx, x):
        mask = (torch.rand_like(x) > 0.5).to(x.dtype)
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0]


class InPlaceSquare(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x.clone())
        ctx.mark_dirty(x)
        return x.square_()

    @staticmethod
    def backward(ctx, grad):
        return 2 * grad * ctx.saved_tensors[0]


class SortNoIndices(Function):
    @staticmethod
    def forward(ctx, x):
        ordered, indices = x.sort()
        ctx.save_for_backward(indices)
        ctx.mark_non_differentiable(indices)
        return ordered, indices

    @staticmethod
    def backward(ctx, grad, _):
        (indices,) = ctx.saved_tensors
        return torch.zeros_like(grad).scatter(-1, indices, grad)


class WithSetup(Function):
    @staticmethod
    def forward(x, scale):
        return x * scale

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        x, scale = ctx.saved_tensors
        return grad * scale, (grad * x).sum()


class SinglePrecisionOnly(Tanh):
    @staticmethod
    def forward(ctx, x):
        if x.dtype != torch.float32:
            raise TypeError("float32 only")
        return Tanh.forward(ctx, x)


class SinglePrecisionOnlyWrong(SinglePrecisionOnly):
    backward = TanhNotSquared.backward


class SinglePrecisionInside(Function):
    """Takes float64, but computes in float32: differences of small steps are rounding noise."""

    @staticmethod
    def forward(ctx, x):
        y = torch.tanh(x.float())
        ctx.save_for_backward(y)
        return y.to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return grad * (1 - y * y)


class MisreadsDoubles(Tanh):
    """What a compiled kernel does that takes the memory of whatever it is given for float32."""

    @staticmethod
    def forward(ctx, x):
        if x.dtype == torch.float64:
            x = x.detach().clone().view(torch.float32)[..., ::2].to(torch.float64)
        return Tanh.forward(ctx, x)


COUNTER = itertools.count()


class DependsOnTheDay(Function):
    @staticmethod
    def forward(ctx, x):
        return x * next(COUNTER)

    @staticmethod
    def backward(ctx, grad):
        return grad


class NeedsItsSurroundings(Function):
    @staticmethod
    def forward(ctx, x):
        raise RuntimeError("no process group")

    @staticmethod
    def backward(ctx, grad):
        return grad


class LogPlusOne(Function):
    """Its domain begins where some of the inputs sit."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.log(x)

    @staticmethod
    def backward(ctx, grad):
        return grad / ctx.saved_tensors[0]


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [
        (Tanh, (values(3, 5),)),
        (Linear, (values(3, 5), values(4, 5))),
        (ReluMasked, (values(6, 7),)),
        (ReluMasked, (torch.zeros(6, 7).requires_grad_(),)),
        (Dropout, (values(6, 7),)),
        (InPlaceSquare, (values(6, 7),)),
        (SortNoIndices, (values(6, 7),)),
        (WithSetup, (values(3, 5), values().requires_grad_())),
        (SinglePrecisionOnly, (values(3, 5),)),
        (SinglePrecisionInside, (values(30, 50),)),
        (MisreadsDoubles, (values(3, 5),)),
        (LogPlusOne, ((values(9).abs() * 1e-3 + 1e-9).detach().requires_grad_(),)),
        (Tanh, (values(3, 5).detach().bfloat16().requires_grad_(),)),
        (Reverse, (values(3), -1.0)),
    ],
    ids=lambda value: value.__name__ if inspect.isclass(value) else "",
)
def test_a_true_derivative_is_right(cls, arguments):
    found = check(cls, *arguments, used=(True, False) if cls is SortNoIndices else (True,))
    assert (found.outcome, found.reason) == ("right", "")


@pytest.mark.parametrize(
    ("cls", "arguments", "argument"),
    [
        (TanhNotSquared, (values(3, 5),), 0),
        (LinearWrongWeight, (values(3, 5), values(4, 5)), 1),
        (LinearNoWeight, (values(3, 5), values(4, 5)), 1),
        (ReluWrongMask, (values(6, 7),), 0),
        (GuidedRelu, (values(6, 7),), 0),
        (SinglePrecisionOnlyWrong, (values(3, 5),), 0),
    ],
    ids=lambda value: value.__name__ if inspect.isclass(value) else "",
)
def test_a_wrong_formula_is_found_with_its_error(cls, arguments, argument):
    found = check(cls, *arguments, argument=argument)
    assert found.outcome == "wrong"
    assert found.relative_error > 0.05


def test_the_right_input_of_a_half_wrong_function_is_right():
    assert check(LinearWrongWeight, values(3, 5), values(4, 5), argument=0).outcome == "right"


def test_a_factor_of_two_is_measured_as_half():
    assert check(LinearWrongWeight, values(3, 5), values(4, 5), argument=1).relative_error == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("cls", "arguments", "argument"),
    [
        (RoundStraightThrough, (values(3, 5), 7.0), 0),
        (RoundStraightThrough, (values(300, 500), 255.0), 0),
        (LearnedStep, (values(3, 5), torch.tensor([0.1], requires_grad=True)), 0),
        (LearnedStep, (values(3, 5), torch.tensor([0.1], requires_grad=True)), 1),
        (OneHotOfLargest, (values(3, 5),), 0),
    ],
    ids=lambda value: value.__name__ if inspect.isclass(value) else "",
)
def test_a_staircase_with_a_gradient_is_a_straight_through_estimator(cls, arguments, argument):
    assert check(cls, *arguments, argument=argument).outcome == "straight-through"


def test_passing_where_the_forward_is_flat_is_told_apart():
    assert check(ReluUnmasked, values(6, 7)).outcome == "passes-where-flat"


def test_gradient_reversal_is_named_with_its_factor():
    found = check(Reverse, values(3, 5), 0.3)
    assert found.outcome == "rescales"
    assert found.factor == pytest.approx(-0.3)


def test_a_hand_written_stop_gradient():
    found = check(Stop, values(3, 5), 0.3)
    assert (found.outcome, found.factor) == ("rescales", 0.0)


def test_clipping_the_gradient_of_an_identity_is_no_formula():
    assert check(Clip, values(3, 5)).outcome == "replaces"


@pytest.mark.parametrize(
    ("cls", "reason"),
    [
        (DependsOnTheDay, "two calls with the same arguments give different results"),
        (NeedsItsSurroundings, "it cannot be called by itself: RuntimeError: no process group"),
    ],
)
def test_what_cannot_be_checked_is_said(cls, reason):
    found = check(cls, values(3, 5))
    assert (found.outcome, found.reason) == ("undetermined", reason)


def test_complex_inputs_are_not_judged():
    found = check(Tanh, torch.zeros(3, dtype=torch.complex64))
    assert (found.outcome, found.reason) == ("undetermined", "its input is not a tensor of real numbers")


def test_the_formula_is_pointed_at_not_the_return():
    found = check(TanhNotSquared, values(3, 5))
    first = inspect.getsourcelines(TanhNotSquared)[1]
    assert found.span is not None
    assert found.return_span is not None
    assert (found.span.line, found.return_span.line) == (first + 5, first + 6)
    assert found.argument_name == "x"


def test_each_input_has_its_own_place_in_the_return():
    found = check(LinearWrongWeight, values(3, 5), values(4, 5), argument=1)
    assert found.span is not None
    assert found.argument_name == "weight"
    lines, first = inspect.getsourcelines(LinearWrongWeight)
    line = lines[found.span.line - first]
    assert line[found.span.column - 1 : found.span.end_column - 1] == "2 * grad.t() @ x"


def test_the_last_change_of_what_is_returned_is_the_formula():
    found = check(ReluWrongMask, values(6, 7))
    assert found.span is not None
    lines, first = inspect.getsourcelines(ReluWrongMask)
    assert lines[found.span.line - first].strip() == "grad_x[x > 0] = 0"


def test_arguments_are_left_as_they_were():
    x = values(6, 7)
    before = x.detach().clone()
    check(InPlaceSquare, x)
    assert torch.equal(x, before)
    assert x.grad is None


def test_setup_context_shifts_no_names():
    assert check(WithSetup, values(3), values(), argument=1).argument_name == "scale"


def test_torchs_own_functions_are_not_custom():
    from torch.utils.checkpoint import CheckpointFunction

    assert not is_custom(CheckpointFunction)
    assert is_custom(Tanh)
