"""A layer that runs several times, and some calls without history: what the score depends on by them is missing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import gradflow


def under_no_grad(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return layer(x)


def under_inference_mode(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        inside = layer(x)
    return inside.clone()


def with_recording_switched_off(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    torch.set_grad_enabled(False)
    found = layer(x)
    torch.set_grad_enabled(True)
    return found


def under_no_grad_and_detached(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found = layer(x)
    return (found * 1.0).detach()


def in_a_reentrant_checkpoint(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return checkpoint(layer, x, use_reentrant=True)


def in_a_reentrant_checkpoint_of_what_has_a_history(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return checkpoint(layer, x.clone().requires_grad_(), use_reentrant=True)


def in_a_checkpoint(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return checkpoint(layer, x, use_reentrant=False)


ignore_what_torch_warns_of = pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")

Call = Callable[[nn.Module, torch.Tensor], torch.Tensor]


class Pair(nn.Module):
    """One encoder for both inputs; ``second`` says how it is called for one of them."""

    def __init__(self, second: Call, *, is_first: bool = False) -> None:
        super().__init__()
        self.encode, self.head = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)), nn.Linear(6, 1)
        self.second, self.is_first = second, is_first

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        early = self.second(self.encode, b) if self.is_first else None
        one = self.encode(a)
        other = self.second(self.encode, b) if early is None else early
        return self.head(torch.cat([one, other], -1)).mean()


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(5, 4), torch.randn(5, 4)


@ignore_what_torch_warns_of
@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize(
    "second",
    [
        under_no_grad,
        under_inference_mode,
        with_recording_switched_off,
        under_no_grad_and_detached,
        in_a_reentrant_checkpoint,
    ],
)
def test_a_call_without_history_that_moves_the_score_makes_the_gradient_wrong(second: Call, is_first: bool) -> None:
    torch.manual_seed(0)
    report = gradflow.check(Pair(second, is_first=is_first), "encode", inputs=pair())
    assert report.verdict == "wrong"
    found = report.diagnostics[0]
    assert (found.code, found.severity) == ("GF401", "error")
    assert found.location is not None
    assert found.location.path == __file__
    assert found.location.function.rpartition(".")[2] == second.__name__
    assert found.helps[0].repair is not None
    assert found.helps[0].repair.verified is True


@ignore_what_torch_warns_of
@pytest.mark.parametrize(
    ("second", "cause"), [(under_no_grad, "no-grad"), (in_a_reentrant_checkpoint, "reentrant-checkpoint")]
)
def test_the_way_drawn_is_that_of_the_call_that_is_lost(second: Call, cause: str) -> None:
    torch.manual_seed(0)
    (found,) = gradflow.check(Pair(second, is_first=True), "encode", inputs=pair()).diagnostics
    assert [(step.kind, step.label) for step in found.path][1:] == [
        ("step", "head"),
        ("cut", cause),
        ("layer", "encode"),
    ]
    assert found.path[-1].is_reached


def test_a_checkpoint_that_runs_again_in_backward_takes_nothing() -> None:
    report = gradflow.check(Pair(in_a_checkpoint), "encode", inputs=pair())
    assert (report.verdict, report.diagnostics) == ("connected", ())


def test_a_reentrant_checkpoint_of_what_has_a_history_takes_nothing_from_parameters() -> None:
    report = gradflow.audit(Pair(in_a_reentrant_checkpoint_of_what_has_a_history), inputs=pair())
    assert [one for one in report.diagnostics if one.severity != "info"] == []


class Ignored(Pair):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        self.second(self.encode, b)
        one = self.encode(a)
        return self.head(torch.cat([one, one], -1)).mean()


class OnlyChooses(Pair):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        one = self.encode(a)
        chosen = nn.functional.one_hot(self.second(self.encode, b).argmax(-1), 3).float()
        return self.head(torch.cat([one, chosen], -1)).mean()


@pytest.mark.parametrize("model_class", [Ignored, OnlyChooses])
def test_a_call_without_history_whose_values_have_no_derivative_in_the_score_is_no_loss(
    model_class: type[Pair],
) -> None:
    torch.manual_seed(0)
    report = gradflow.check(model_class(under_no_grad), "encode", inputs=pair())
    assert (report.verdict, report.diagnostics) == ("connected", ())


class SharedActivation(nn.Module):
    """The activation runs on the plain input, before which nothing requires grad, and on features."""

    def __init__(self) -> None:
        super().__init__()
        self.act, self.inner = nn.Tanh(), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.act(self.inner(x)) * self.act(x)).sum()


def test_a_call_before_which_nothing_requires_grad_is_no_loss() -> None:
    report = gradflow.check(SharedActivation(), "act", inputs=torch.randn(2, 4))
    assert (report.verdict, report.diagnostics) == ("connected", ())
