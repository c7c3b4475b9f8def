"""What was tried with one parameter of a group is told of that one, not of the others beside it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import gradflow


class Gated(nn.Module):
    """A gate that is computed without a record; what ``weight`` multiplies is zero, so that only ``bias`` moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.out = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            gate = self.gate(torch.zeros_like(x)).sigmoid()
        return self.out(x * gate)


def test_the_one_that_was_moved_is_named() -> None:
    report = gradflow.audit(Gated(), inputs=torch.randn(4, 3))
    (found,) = report.diagnostics
    assert found.hides == ("gate.weight", "gate.bias")
    (tried,) = (note for note in found.notes if note.startswith("tried: "))
    assert "with the values of `gate.weight` moved" in tried
    assert tried.endswith("this stop takes nothing from it")
