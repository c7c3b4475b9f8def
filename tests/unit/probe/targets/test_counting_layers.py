"""``auto`` takes no layer of another head than the score is made from, and still takes one whose output is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import gradflow

X = torch.linspace(-1, 1, 12).reshape(3, 4)


class Heads(nn.Module):
    """``body`` is the forward."""

    def __init__(self, body: Callable[[Heads, torch.Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Linear(4, 6)
        self.near, self.far = (nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)) for _ in range(2))
        self.body, self.kept = body, torch.zeros(())

    def forward(self, x: torch.Tensor) -> Any:
        return self.body(self, self.trunk(x))


def in_a_dictionary(model: Heads, h: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"near": model.near(h), "far": model.far(h)}


def in_a_tuple(model: Heads, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return model.near(h), model.far(h) * 2


def kept_by_the_model(model: Heads, h: torch.Tensor) -> torch.Tensor:
    near = model.near(h)
    model.kept = model.far(h).square().mean()
    return near


def lost(model: Heads, h: torch.Tensor) -> torch.Tensor:
    near = model.near(h)
    model.far(h)
    return near


def through_numbers(model: Heads, h: torch.Tensor) -> dict[str, torch.Tensor]:
    far = model.far(h)
    return {"near": model.near(h) * torch.tensor(far.tolist()), "far": far}


def assumed(report: gradflow.Report) -> str:
    return next(one for one in report.assumptions if one.startswith("layer: `"))


@pytest.mark.parametrize("body", [in_a_dictionary, in_a_tuple, kept_by_the_model])
def test_a_layer_of_another_head_is_passed_over(body: Callable[[Heads, torch.Tensor], Any]) -> None:
    report = gradflow.check(Heads(body), inputs=X)
    assert (report.target.name, report.verdict) == ("near.1", "connected"), str(report)
    assert "the last layer before the output layer `near.2`" in assumed(report)


def test_the_head_that_is_asked_for_is_the_one() -> None:
    report = gradflow.check(Heads(in_a_dictionary), inputs=X, output="far")
    assert (report.target.name, report.verdict) == ("far.1", "connected")


def test_a_layer_whose_output_is_lost_is_told() -> None:
    report = gradflow.check(Heads(lost), inputs=X)
    assert (report.target.name, report.verdict) == ("far.1", "unused")
    assert report.diagnostics[0].name == "output-discarded"


def test_a_layer_of_which_values_come_back_unseen_is_not_passed_over() -> None:
    report = gradflow.check(Heads(through_numbers), inputs=X, output="near")
    assert (report.target.name, report.verdict) == ("near.1", "connected")
    report = gradflow.check(Heads(through_numbers), ["auto", "far"], inputs=X, output="near")
    assert {one.target.name: one.verdict for one in report.reports} == {"near.1": "connected", "far": "broken"}


class Both(Heads):
    def forward(self, x: torch.Tensor) -> Any:
        h = self.trunk(x)
        return {"near": self.near[2](h[:, :5]), "far": self.far[2](h[:, 1:])}


def test_a_parallel_head_is_not_what_comes_before_the_other() -> None:
    report = gradflow.check(Both(lost), inputs=X, score=lambda out: out["near"].sum() + out["far"].sum())
    assert (report.target.name, report.verdict) == ("trunk", "connected")
    assert "the last layer before the output layer `far.2`" in assumed(report)


class Keyed(nn.Module):
    """The same trunk runs for each task, after the head that counts has run."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Linear(4, 4)
        self.heads = nn.ModuleDict({task: nn.Linear(4, 2) for task in ("a", "b")})

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {task: head(self.trunk(x)) for task, head in self.heads.items()}


def test_a_call_for_another_head_is_passed_over_by_itself() -> None:
    report = gradflow.check(Keyed(), inputs=X, output="a")
    assert (report.target.name, report.verdict) == ("trunk", "connected")
    assert "before the output layer `heads.a`" in assumed(report)
