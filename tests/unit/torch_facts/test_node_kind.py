"""The kind of an autograd node comes from torch, never from what a user has called a class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from gradflow.record.backward.node_facts import factor_of, facts_of, is_staircase
from gradflow.record.program.light_notes import LightNotes
from gradflow.recording.gradients import NodeFacts
from gradflow.torch_facts.node_kind import kind_of


def of_a_class_called(name: str) -> torch.Tensor:
    """The result of a custom Function that doubles, and whose backward is right."""

    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:
        return value * 2

    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * 2

    methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    result: torch.Tensor = type(name, (torch.autograd.Function,), methods).apply(torch.ones(3, requires_grad=True))
    return result


@pytest.mark.parametrize(
    ("compute", "kind"),
    [
        (lambda x: x * 2, "Mul"),
        (lambda x: x.view(3, 1), "View"),
        (lambda x: torch.nn.functional.linear(x, torch.ones(2, 3)), "Squeeze"),
        (lambda x: x.norm(), "LinalgVectorNorm"),
        (torch.normal, "Normal"),
    ],
)
def test_of_torchs_own(compute: Callable[[torch.Tensor], torch.Tensor], kind: str) -> None:
    assert kind_of(compute(torch.ones(3, requires_grad=True)).grad_fn) == kind


@pytest.mark.parametrize("name", ["Mul", "Sign", "View", "NllLoss", "Normal", "MulBackward0"])
def test_of_a_custom_function_there_is_none(name: str) -> None:
    assert kind_of(of_a_class_called(name).grad_fn) == ""


@pytest.mark.parametrize("name", ["SignAct", "Sign", "NllLoss", "Softmax", "Embedding", "Mul", "Div", "Addmm"])
def test_nothing_is_known_of_its_derivative(name: str) -> None:
    node = of_a_class_called(name).grad_fn
    facts = facts_of(node, [0])
    assert facts == NodeFacts()
    assert factor_of(node, 0) is None
    assert not is_staircase(node)


@pytest.mark.parametrize("name", ["View", "Transpose", "T", "Alias"])
def test_its_gradient_is_measured(name: str) -> None:
    node = of_a_class_called(name).grad_fn
    assert LightNotes.passed_over([node]) == set()


def test_what_only_rearranges_is_passed_over() -> None:
    node = torch.ones(3, requires_grad=True).view(3, 1).grad_fn
    assert LightNotes.passed_over([node]) == {node}
