"""Who freed the graph: a gradient call of the model's own, or a pass before."""

from __future__ import annotations

import torch
from torch import nn

import gradflow


class Inner(nn.Module):
    """Takes a gradient itself, through all that the score is made from, and keeps the graph where ``keeps``."""

    def __init__(self, keeps: bool, *, by_backward: bool = False) -> None:
        super().__init__()
        self.body, self.side, self.head = nn.Linear(4, 6), nn.Linear(6, 1), nn.Linear(6, 2)
        self.keeps, self.by_backward = keeps, by_backward

    def forward(self, x):
        h = torch.tanh(self.body(x))
        near = torch.autograd.grad(self.side(h).sum(), h)[0]
        if self.by_backward:
            self.side(h).sum().backward(retain_graph=self.keeps)
        else:
            torch.autograd.grad(self.side(h).sum(), list(self.body.parameters()), retain_graph=self.keeps)
        return self.head(h) * near.norm()


class Carries(nn.Module):
    """Keeps its state from pass to pass with its history."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
        self.state = None

    def forward(self, x):
        h = torch.tanh(self.cell(x if self.state is None else x + self.state))
        self.state = h
        return self.head(h)


def told(model: nn.Module, layer: str):
    (found,) = gradflow.check(model, layer, inputs=torch.randn(3, 4)).diagnostics
    return found


def test_the_call_that_frees_is_named_and_not_the_one_that_frees_a_part_of_its_own() -> None:
    found = told(Inner(keeps=False), "body")
    assert found.name == "graph-freed"
    assert "earlier pass" not in found.message
    assert found.location is not None
    assert found.location.line == Inner.forward.__code__.co_firstlineno + 6
    assert found.notes[0].startswith("tried: with `retain_graph=True` here")


def test_a_backward_that_frees_is_named_too() -> None:
    found = told(Inner(keeps=False, by_backward=True), "body")
    assert found.name == "graph-freed"
    assert found.location is not None
    assert found.location.line == Inner.forward.__code__.co_firstlineno + 4


def test_a_call_that_keeps_the_graph_is_no_fault() -> None:
    assert gradflow.check(Inner(keeps=True), "body", inputs=torch.randn(3, 4)).verdict == "connected"


def test_what_an_earlier_pass_left_behind_is_still_told_so() -> None:
    model = Carries()
    model(torch.randn(3, 4)).sum().backward()
    found = gradflow.audit(model, inputs=torch.randn(3, 4)).diagnostics[0]
    assert found.name == "graph-freed"
    assert "earlier pass" in found.message
