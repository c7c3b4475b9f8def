"""What a recording knows of values: the leaves behind them, by value and by gradient, and whether an input is."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow
from gradflow.load.scores.choice import Choice, Origins

PLACES = ("steps", "stopped", "penalty", "made")


class Steps(nn.Module):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.cell, self.head, self.count = nn.Linear(4, 4), nn.Linear(4, 2), count

    def forward(self, x: torch.Tensor) -> dict[str, list[torch.Tensor]]:
        found: dict[str, list[torch.Tensor]] = {place: [] for place in PLACES}
        for _ in range(self.count):
            x = torch.tanh(self.cell(x))
            found["steps"].append(self.head(x))
            found["stopped"].append(self.head(x).detach())
            found["penalty"].append(self.head.weight.square().sum())
            found["made"].append(torch.ones(2) * 2)
        return found


def test_values_leaves_and_inputs_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Steps(3)
    seen: dict[str, tuple[int | None, int, bool]] = {}

    def choose(self: Choice, parts: list[tuple[torch.Tensor, str]], origins: Origins) -> None:
        for part, where in parts:
            name = next(place for place in PLACES if place in where)
            computed = origins.computed_from(part)
            seen[name] = (
                len(computed) if computed is not None else None,
                len(origins.reached_from(part)),
                origins.depends_on_inputs(part),
            )
        self.left_out = ()
        assert len(origins.read()) == 4
        assert origins.reads_inputs()

    monkeypatch.setattr(Choice, "_choose", choose)
    gradflow.check(model, "cell", inputs=torch.ones(2, 4))
    assert seen == {
        "steps": (4, 4, True),
        "stopped": (4, 0, True),
        "penalty": (1, 1, False),
        "made": (None, 0, False),
    }
