"""Of many hooks the one that makes a gradient zero is named, and none that only looks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow

X = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))


def hooked(places: list[int], taking: list[int]) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), *(nn.Tanh() for _ in range(24)), nn.Linear(4, 2))
    for place in places:
        share = 0.0 if place in taking else 1.0
        model[place].register_full_backward_hook(lambda _, before, __, share=share: (before[0] * share,))
    return model


@pytest.mark.parametrize("taking", [1, 11, 24])
def test_the_one_that_takes_it_is_named(taking: int) -> None:
    report = gradflow.check(hooked(list(range(1, 25)), [taking]), parameter="0.weight", inputs=X, target=0)
    found = [one for one in report.diagnostics if one.code == "GF411"]
    assert len(found) == 1
    assert f"`{taking}`" in found[0].message or found[0].module == str(taking)


def test_where_several_take_it_only_the_one_at_which_it_was_seen_to_die_is_named() -> None:
    report = gradflow.check(hooked(list(range(1, 25)), [3, 20]), parameter="0.weight", inputs=X, target=0)
    found = [one for one in report.diagnostics if one.code == "GF411"]
    assert (report.verdict, [one.module for one in found]) == ("zero", ["20"])
    assert any(text.startswith("which of 24 hooks take the gradient together") for text in report.undetermined)
