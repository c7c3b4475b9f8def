"""A layer that feeds another output than the score's: the model returns what it gave, or what is made of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import gradflow


class Heads(nn.Module):
    """Returns the score's head first; ``finish`` is done to what the other head gives."""

    def __init__(self, finish: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.main, self.side, self.finish = nn.Linear(4, 3), nn.Linear(4, 2), finish

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.main(x), self.finish(self.side(x))


@pytest.mark.parametrize(
    ("finish", "told"),
    [
        (lambda y: y, "the model returns it (tensor 2 of 2)"),
        (lambda y: y.flatten(1).view(-1, 2)[:, None], "the model returns it (tensor 2 of 2)"),
        (lambda y: y.square(), "what is made of it is returned by the model (tensor 2 of 2)"),
        (lambda y: y.relu_(), "what is made of it is returned by the model (tensor 2 of 2)"),
        (lambda y: y.square().mean().view(1), "what is made of it is returned by the model (tensor 2 of 2)"),
    ],
)
def test_only_what_the_layer_gave_is_said_to_be_returned(finish: Callable[[Tensor], Tensor], told: str) -> None:
    report = gradflow.check(Heads(finish), "side", inputs=torch.randn(3, 4), output="0")
    (found,) = report.diagnostics
    assert found.message.endswith(" does not depend on `side`: the score is made from another output of the model")
    assert found.notes[0] == f"{told}, but the score is made from another output"


def test_what_is_not_returned_is_not_used() -> None:
    report = gradflow.check(Heads(torch.zeros_like), "side", inputs=torch.randn(3, 4), output="0")
    (found,) = report.diagnostics
    assert found.message.endswith(" does not depend on `side`: its output is not used")


def test_an_audit_with_a_loss_of_one_output() -> None:
    model = Heads(lambda y: y.square())
    report = gradflow.audit(model, inputs=torch.randn(3, 4), loss=lambda output: output[0].square().mean())
    (found,) = report.diagnostics
    assert found.message == "2 of 4 parameters get no gradient: the loss is made from another output"
