"""A faint gradient is run again in float64 only where a sum may have left nothing but rounding error of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import gradflow
from gradflow.probe.cancellation import may_have_cancelled
from gradflow.recording.gradients import NodeFlow


class Faded(nn.Module):
    """A body, then something that makes its gradient very small."""

    def __init__(self, fade: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.body = nn.Linear(8, 8)
        self.fade = fade

    def forward(self, x: Tensor) -> Tensor:
        return self.fade(self.body(x))


def faint_weights(h: Tensor) -> Tensor:
    weight = 1e-8 * torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    return nn.functional.linear(h, weight)


def many_layers(h: Tensor) -> Tensor:
    for _ in range(20):
        h = 0.4 * torch.tanh(h.roll(1, -1))
    return h


def centred(h: Tensor) -> Tensor:
    return (h - h.mean(-1, keepdim=True)).sum(-1, keepdim=True).expand(-1, 3)


@pytest.mark.parametrize("fade", [faint_weights, many_layers, lambda h: h * 1e-9])
def test_small_factors_cost_one_pass_and_no_run_in_float64(
    fade: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_needed(*arguments: object) -> bool:
        raise AssertionError("run in float64")

    monkeypatch.setattr("gradflow.probe.examine.is_rounding_error", not_needed)
    torch.manual_seed(0)
    report = gradflow.check(Faded(fade), "body", inputs=torch.randn(2, 8))
    assert report.verdict == "connected"
    assert report.diagnostics == ()
    assert 0.0 < (report.gradients[0].max_abs or 0.0) < 1e-6
    assert report.environment.forward_count == 2


def test_what_cancels_in_a_sum_is_found() -> None:
    torch.manual_seed(0)
    report = gradflow.check(Faded(centred), "body", inputs=torch.randn(2, 8))
    assert report.verdict == "zero"


class Gain(nn.Module):
    """A factor for each sample; where broadcasting it is undone, what a unit vector takes out again cancels."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.normalize(x * self.gain(x).exp(), dim=-1)


def test_what_cancels_where_broadcasting_is_undone_is_found() -> None:
    torch.manual_seed(0)
    report = gradflow.check(Gain(), "gain", inputs=torch.randn(2, 8))
    assert report.verdict == "zero"
    assert 0.0 < (report.gradients[0].max_abs or 0.0) < 1e-6


def test_where_nothing_is_known_something_may_have_cancelled() -> None:
    flow = NodeFlow(name="MulBackward0", operation=0, incoming=1.0, outgoing=(1e-9,))
    assert may_have_cancelled(())
    assert not may_have_cancelled((flow,))


class Phase(nn.Module):
    """A real factor does not change the angle of a complex number."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return torch.angle(torch.fft.rfft(x) * self.gain(x).exp()).sin()


def test_what_cancels_in_a_complex_product_is_found() -> None:
    torch.manual_seed(0)
    report = gradflow.check(Phase(), "gain", inputs=torch.randn(2, 8), score=lambda out: out[0, 2])
    assert report.verdict == "zero"
    assert 0.0 < (report.gradients[0].max_abs or 0.0) < 1e-6


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_gradients_can_be_faint(layout: torch.layout) -> None:
    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            nested = torch.nested.as_nested_tensor([self.body(x)[:2], self.body(x)[2:]], layout=layout)
            return torch.stack([part.sum() for part in (nested * 1e-9).unbind()])[None]

    torch.manual_seed(0)
    report = gradflow.check(Parts(), "body", inputs=torch.randn(5, 8))
    assert report.verdict == "connected"
    assert report.undetermined == ()
