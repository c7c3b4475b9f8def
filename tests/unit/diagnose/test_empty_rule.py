"""A layer that runs on nothing: an expert that no token is sent to."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import gradflow


class Experts(nn.Module):
    """Each token goes to the expert with the highest score, the last one gets none."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.router = nn.Linear(6, 3)
        self.router.bias.data[2].fill_(-100.0)
        self.experts = nn.ModuleList(nn.Linear(6, 4) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        choice = self.router(x).argmax(-1)
        out = x.new_zeros(len(x), 4)
        for number, expert in enumerate(self.experts):
            (token,) = torch.where(choice == number)
            out = out.index_add(0, token, expert(x[token]))
        return out


def test_an_expert_without_tokens() -> None:
    report = gradflow.check(Experts(), "experts.2", inputs=torch.randn(8, 6))
    assert report.verdict == "unused"
    (found,) = report.diagnostics
    assert found.name == "layer-not-called"
    assert found.message == "`experts.2` ran on an empty tensor, so there is no gradient"
    assert found.location is not None
    assert found.location.line == Experts.forward.__code__.co_firstlineno + 4


def test_its_weight_has_a_zero_gradient_for_the_same_reason() -> None:
    report = gradflow.check(Experts(), parameter="experts.2.weight", inputs=torch.randn(8, 6))
    assert report.verdict == "zero"
    assert [found.name for found in report.diagnostics] == ["layer-not-called"]


def test_an_expert_with_tokens_is_connected() -> None:
    def total(output: Tensor) -> Tensor:
        return output.sum()

    for number in range(2):
        assert gradflow.check(Experts(), f"experts.{number}", inputs=torch.randn(8, 6), score=total).connected
