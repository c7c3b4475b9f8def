"""Whether a flat operation belongs to the model or to the score does not depend on what ran before."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow


def helps_and_names(program, earlier):
    torch.manual_seed(0)
    with gradflow.explain(quiet=True) as explanation:
        program(earlier)
    assert explanation.report.verdict == "zero"
    return [(one.name, [each.text for each in one.helps]) for one in explanation.report.diagnostics]


def inside(earlier):
    model = nn.Sequential(nn.Linear(3, 4), nn.Hardtanh(), nn.Linear(4, 1))
    nn.init.constant_(model[0].bias, 40.0)
    for _ in range(earlier):
        model(torch.ones(2, 3))
    model(torch.ones(2, 3)).sum().backward()
    str(model[0].weight.grad.norm())


def between(earlier):
    first, second = nn.Linear(3, 4), nn.Linear(4, 1)
    nn.init.constant_(first.bias, -40.0)
    for _ in range(earlier):
        second(first(torch.ones(2, 3)))
    second(torch.relu(first(torch.ones(2, 3)))).sum().backward()
    str(first.weight.grad.norm())


def behind(earlier):
    model = nn.Linear(3, 1)
    nn.init.constant_(model.bias, -40.0)
    for _ in range(earlier):
        model(torch.ones(2, 3))
    model(torch.ones(2, 3)).clamp(min=0).sum().backward()
    str(model.weight.grad.norm())


@pytest.mark.parametrize("program", [inside, between, behind])
def test_earlier_forwards_change_nothing(program):
    assert helps_and_names(program, 0) == helps_and_names(program, 2)


def test_a_score_is_told_apart_from_a_model():
    (of_model,), (of_score,) = helps_and_names(inside, 1), helps_and_names(behind, 1)
    (in_between,) = helps_and_names(between, 1)
    assert of_model[1] == in_between[1]
    assert of_model[1] != of_score[1]
