"""The mode of a TorchScript module, which it keeps outside Python, or has lost."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow
from gradflow.record.state import preserved

# torch says that it is old
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def test_a_frozen_module_has_no_mode_and_keeps_none() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.head = nn.Linear(4, 4), nn.Linear(4, 3)
            self.frozen = torch.jit.freeze(torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.Tanh()).eval()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.a(x) * self.frozen(x))

    model = Model()
    report = gradflow.check(model, "a", inputs=torch.randn(2, 4))
    assert report.verdict == "connected"
    assert report.environment.mode == "train"
    assert gradflow.check(model, "a", inputs=torch.randn(2, 4), mode="eval").verdict == "connected"
    assert gradflow.audit(model, inputs=torch.randn(2, 4)).exit_code == 0
    assert not hasattr(model.frozen, "training")
    assert model.training


def test_a_script_module_that_is_not_frozen_gets_its_mode_back() -> None:
    model = torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.Dropout()))
    with preserved(model):
        model.eval()
    assert model.training
