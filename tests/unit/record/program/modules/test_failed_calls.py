"""A forward that raised has failed; one that returns nothing, because the model keeps its loss, has not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow


class KeepsItsLoss(nn.Module):
    def __init__(self, *, fails: bool) -> None:
        super().__init__()
        self.fails = fails
        self.used, self.spare = nn.Linear(2, 2), nn.Linear(2, 2)
        self.loss = torch.zeros(())

    def forward(self, x: torch.Tensor) -> None:
        self.loss = self.used(x).pow(2).sum()
        if self.fails:
            raise StopIteration


@pytest.mark.parametrize(("fails", "expected"), [(False, {"layer-not-called"}), (True, set())])
def test_a_hook_on_a_layer_that_never_ran(fails: bool, expected: set[str]) -> None:
    seen: list[torch.Tensor] = []
    with gradflow.explain(quiet=True) as explanation:
        net = KeepsItsLoss(fails=fails)
        net.spare.register_forward_hook(lambda module, inputs, output: seen.append(output))
        try:
            net(torch.ones(1, 2))
        except StopIteration:
            seen.clear()
        net.loss.backward()
    assert {one.name for one in explanation.report.diagnostics} == expected
