"""Lazy layers are initialised on a copy, and nothing else of the copy differs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow
from gradflow.errors import ModelRaisedError
from gradflow.load.lazy import is_uninitialised
from gradflow.load.loading import workload_from_objects
from gradflow.record.state.lazy_layers import with_lazy_layers_initialised


def _model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.LazyConv2d(5, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2)
    )


def test_the_gradient_reaches_a_lazy_layer_and_the_model_stays_lazy() -> None:
    model = _model()
    report = gradflow.check(model, "2", inputs=torch.rand(2, 3, 8, 8))
    assert report.verdict == "connected"
    assert any("lazy" in assumption for assumption in report.assumptions)
    assert any(is_uninitialised(parameter) for parameter in model.parameters())


def test_the_first_run_leaves_no_trace_in_the_copy() -> None:
    model = _model()
    workload = workload_from_objects(model, torch.rand(2, 3, 8, 8))
    state = torch.random.get_rng_state()
    copy = with_lazy_layers_initialised(workload).model
    assert torch.equal(torch.random.get_rng_state(), state)
    for name in ("1", "3"):
        layer = copy.get_submodule(name)
        assert isinstance(layer, nn.BatchNorm2d)
        assert int(layer.num_batches_tracked) == 0
        assert not layer.running_mean.any()


def test_a_lazy_layer_that_never_runs_does_no_harm() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(3, 2)
            self.spare = nn.LazyLinear(2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x)

    assert gradflow.check(Net(), "body", inputs=torch.rand(1, 3)).verdict == "connected"
    assert gradflow.check(Net(), "spare", inputs=torch.rand(1, 3)).verdict == "unused"


def test_what_is_not_lazy_is_not_copied() -> None:
    workload = workload_from_objects(nn.Linear(3, 2), torch.rand(1, 3))
    assert with_lazy_layers_initialised(workload) is workload


def test_a_first_run_that_raises_is_told_as_the_models_own() -> None:
    model = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d(), nn.Linear(4, 3))
    with pytest.raises(ModelRaisedError, match="ValueError in its forward: Expected more than 1 value per channel"):
        gradflow.check(model, "0", inputs=torch.rand(1, 5))
    assert gradflow.check(model, "0", inputs=torch.rand(2, 5)).connected


def test_a_parameter_without_a_shape_is_one_of_a_layer_that_did_not_run() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.LazyLinear(2)
            self.spare = nn.LazyLinear(2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.body(x)
            return result

    assert gradflow.check(Net(), parameter="body.weight", inputs=torch.rand(1, 3)).connected
    report = gradflow.check(Net(), parameter="spare.weight", inputs=torch.rand(1, 3))
    assert report.verdict == "unused"
    assert any("no shape yet" in text and "`spare.weight`" in text for text in report.assumptions)


@pytest.mark.parametrize("seed", range(4))
def test_a_layer_that_did_not_run_does_not_disturb_the_answer_about_one_that_gets_zeros(seed: int) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.spare, self.head = nn.LazyLinear(2), nn.LazyConv2d(2, 1), nn.Linear(2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.head(self.body(x)) * 0
            return result

    torch.manual_seed(seed)
    assert gradflow.check(Net(), "body", inputs=torch.rand(1, 3)).verdict == "zero"
