"""What a program says in its own exceptions is none of torch's refusals, and torch's are told as before."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import gradflow

X = torch.linspace(-1, 1, 8).reshape(2, 4)


def refusals() -> list[str]:
    """What torch says, taken from torch."""
    computed = torch.ones(2, requires_grad=True) * 2
    leaf = torch.ones(2, requires_grad=True)
    said = []
    for refused in (computed.numpy, lambda: computed.requires_grad_(False), lambda: leaf.add_(1)):
        with pytest.raises(RuntimeError) as caught:
            refused()
        said.append(str(caught.value))
    return said


class Raises(nn.Module):
    def __init__(self, words: str) -> None:
        super().__init__()
        self.layer, self.words = nn.Linear(4, 2), words

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.layer(x)
        raise RuntimeError(self.words)


@pytest.mark.parametrize("words", refusals())
def test_a_model_that_raises_with_torchs_words_is_a_model_that_raised(words: str) -> None:
    with pytest.raises(gradflow.GradflowError, match="the model raised RuntimeError"):
        gradflow.check(Raises(words), "layer", inputs=X)


class Refused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.layer(x).numpy() * 2.0)


def test_what_torch_refuses_is_told_as_a_finding() -> None:
    report = gradflow.check(Refused(), "layer", inputs=X)
    assert (report.verdict, report.diagnostics[0].code) == ("error", "GF104")


class Refusing(torch.autograd.Function):
    words = ""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * 2.0

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(Refusing.words)


class WithFunction(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return Refusing.apply(self.layer(x))


@pytest.mark.parametrize(
    "words",
    [
        "Trying to backward through the graph a second time",
        "one of the variables has been modified by an inplace operation",
        "the derivative is not implemented",
        "no checkpoint here",
    ],
)
def test_a_backward_that_raises_with_torchs_words_is_a_backward_that_raised(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Refusing, "words", words)
    report = gradflow.check(WithFunction(), "layer", inputs=X)
    assert [found.code for found in report.diagnostics] == ["GF111"]
    assert report.diagnostics[0].location is not None
    assert report.diagnostics[0].location.path == __file__
    assert not any("torch says" in note for note in report.diagnostics[0].notes)


class FreesItsGraph(nn.Module):
    """A gradient taken in the forward frees what the score goes through: nothing of an earlier pass is there."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.side, self.head = nn.Linear(4, 6), nn.Linear(6, 1), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.layer(x))
        norm = torch.autograd.grad(self.side(h).sum(), self.layer.weight)[0].norm()
        return self.head(h) * norm


def test_a_graph_that_the_same_pass_frees_is_not_told_as_one_of_an_earlier_pass() -> None:
    report = gradflow.check(FreesItsGraph(), parameter="layer.weight", inputs=X)
    found = report.diagnostics[0]
    assert found.code == "GF502"
    assert "earlier" not in found.message + found.label
