"""Inputs and results that hold themselves, or are nested deeper than Python can call, are no limit to a check."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import gradflow


def deep(inside: Any) -> Any:
    for _ in range(100_000):
        inside = [inside]
    return inside


def circular(inside: Any) -> Any:
    held = [inside]
    held.append(held)
    return held


def taken_out(held: Any) -> Any:
    while isinstance(held, list):
        held = held[0]
    return held


class Puts(nn.Module):
    def __init__(self, put: Any) -> None:
        super().__init__()
        self.put = put

    def forward(self, x: torch.Tensor) -> Any:
        return self.put(x * 2)


class Around(nn.Module):
    """Takes its input out of something odd, and hands its feature on in something odd."""

    def __init__(self, put: Any) -> None:
        super().__init__()
        self.first, self.puts, self.last = nn.Linear(3, 3), Puts(put), nn.Linear(3, 2)

    def forward(self, held: Any) -> torch.Tensor:
        return self.last(taken_out(self.puts(self.first(taken_out(held)))))


class GivenAList(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, extra: list[Any]) -> torch.Tensor:
        ctx.factor = float(len(extra))
        return x * ctx.factor

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        return grad * ctx.factor, None


class AppliesToAList(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return GivenAList.apply(self.lin(x), circular(1.0))


@pytest.mark.parametrize("put", [pytest.param(deep, marks=pytest.mark.slow), circular])
def test_containers_without_end(put: Any) -> None:
    report = gradflow.check(Around(put), "*", inputs=(put(torch.ones(2, 3)),))
    assert [one.target.name for one in report.reports] == ["first", "puts", "last"]
    assert all(one.connected for one in report.reports)
    audit = gradflow.audit(Around(put), inputs=(put(torch.ones(2, 3)),))
    assert not audit.diagnostics
    assert not audit.undetermined


def test_a_function_that_is_given_a_list_which_holds_itself() -> None:
    assert gradflow.check(AppliesToAList(), "lin", inputs=torch.ones(2, 3)).connected
    with gradflow.explain(quiet=True) as explanation:
        AppliesToAList()(torch.ones(2, 3)).sum().backward()
    assert not explanation.report.diagnostics
    assert not explanation.report.undetermined
