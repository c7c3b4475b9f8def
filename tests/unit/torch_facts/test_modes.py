"""An exported program has no mode; what it is built into has its own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow
from gradflow.torch_facts.modes import is_exported, modules_with_modes

# torch 2.13 warns of itself when it unflattens a program
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")


def _exported() -> torch.export.ExportedProgram:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    return torch.export.export(model, (torch.randn(2, 3),))


def test_an_exported_program_has_no_mode() -> None:
    program = _exported()
    for model in (program.module(), torch.export.unflatten(program)):
        assert is_exported(model)
        assert modules_with_modes(model) == ()
        report = gradflow.check(model, (), parameter="2.weight", inputs=torch.randn(2, 3))
        assert report.connected
        assert report.environment.mode == ""
        assert "mode" not in str(report)
        assert "mode" not in str(gradflow.audit(model, inputs=torch.randn(2, 3)))


def test_what_holds_an_exported_program_has_its_own_mode() -> None:
    model = nn.Sequential(torch.export.unflatten(_exported()), nn.Linear(2, 2)).eval()
    assert modules_with_modes(model) == (model, model[1])
    assert gradflow.check(model, "1", inputs=torch.randn(2, 3)).environment.mode == "eval"


def test_a_graph_of_torch_fx_keeps_its_modes() -> None:
    model = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(3, 4))).train()
    assert not is_exported(model)
    assert gradflow.check(model, "0", inputs=torch.randn(2, 3)).environment.mode == "train"
