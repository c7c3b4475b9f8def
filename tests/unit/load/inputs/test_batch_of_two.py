"""A guessed input has two samples where a batch norm in train mode needs them, and one everywhere else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow
from gradflow.load.inputs.input_guess import guess_inputs
from gradflow.load.loading import load_workload
from gradflow.load.request import Request


def pooled(*, frozen: bool = False, tracks: bool = True) -> nn.Module:
    norm = nn.BatchNorm2d(4, track_running_stats=tracks)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), norm.eval() if frozen else norm, nn.Flatten(), nn.Linear(4, 2)
    )


def linear() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


class NeedsValues(nn.Module):
    """Cannot run on a copy without data."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm = nn.Linear(6, 4), nn.BatchNorm1d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(self.fc(x))
        return h * 2 if h.sum().item() > 1e9 else h


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (linear(), (2, 6)),
        (linear().eval(), (1, 6)),
        (pooled(), (2, 3, 32, 32)),
        (pooled(frozen=True), (1, 3, 32, 32)),
        (pooled(tracks=False).eval(), (2, 3, 32, 32)),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), (1, 3, 32, 32)),  # many places of one picture are enough
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4)), (1, 3, 32, 32)),
        (NeedsValues(), (2, 6)),
        (nn.Linear(6, 4), (1, 6)),
    ],
)
def test_how_many_samples(model: nn.Module, shape: tuple[int, ...]) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    guess = guess_inputs(model, input_size=None, seed=0)
    assert guess.arguments[0].shape == shape
    assert ("two samples" in guess.reason) == (shape[0] == 2)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    model(*guess.arguments)


def test_the_size_is_still_the_one_that_fits() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Flatten(), nn.Linear(6 * 24 * 24, 10), nn.BatchNorm1d(10), nn.Linear(10, 2)
    )
    assert guess_inputs(model, input_size=None, seed=0).arguments[0].shape == (2, 1, 28, 28)


def test_the_two_samples_differ_and_a_gradient_arrives() -> None:
    report = gradflow.audit(linear())
    assert all(one.state == "gradient" for one in report.parameters if one.name.startswith(("1.", "3.")))
    assert any("[2, 6]" in text and "two samples" in text for text in report.assumptions)
    first, second = guess_inputs(linear(), input_size=None, seed=0).arguments[0]
    assert not torch.equal(first, second)


def test_a_published_model_in_train_mode() -> None:
    pytest.importorskip("torchvision", exc_type=ImportError)
    workload = load_workload(Request(model="torchvision:deeplabv3_resnet50", mode="train"))
    assert workload.inputs[0].shape == (2, 3, 224, 224)


class Counted(nn.Module):
    def __init__(self, *, is_one_enough: bool) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4 * 26 * 26, 3)
        self.last = nn.Identity() if is_one_enough else nn.BatchNorm1d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        RUNS.append(x.shape)
        return self.last(self.head(self.norm(self.conv(x)).flatten(1)))


RUNS: list[torch.Size] = []


@pytest.mark.parametrize("is_one_enough", [False, True])
def test_the_runs_that_find_the_input_are_counted(is_one_enough: bool) -> None:
    RUNS.clear()
    report = gradflow.check(Counted(is_one_enough=is_one_enough).train(), "conv", target=0)
    assert report.environment.forward_count == len(RUNS)
