"""A layer that did not run, where the score reads what the model has kept from before, and where it does not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow


class Keeping(nn.Module):
    def __init__(self, *, is_buffer: bool = False) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(3, 3), nn.Linear(3, 2)
        self.is_ready = False
        if is_buffer:
            self.register_buffer("kept", torch.zeros(2, 3))
        else:
            self.kept = torch.zeros(2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.is_ready:
            self.kept.copy_(self.layer(x).detach())
            self.is_ready = True
        return self.head(self.kept)


class Idle(Keeping):
    """Holds a tensor that it does not read."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x) if self.kept.shape else self.layer(x)


def test_what_an_earlier_pass_gave_is_not_said_never_to_have_run() -> None:
    model, x = Keeping(), torch.ones(2, 3)
    model(x)
    report = gradflow.check(model, "layer", inputs=x)
    assert report.verdict == "not determined"
    assert [(one.name, one.severity) for one in report.diagnostics] == [("layer-not-called", "info")]
    assert "`layer` did not run in this run" in report.diagnostics[0].message
    (open_question,) = report.undetermined
    assert "kept from before" in open_question


def test_an_audit_does_not_say_so_either() -> None:
    model, x = Keeping(), torch.ones(2, 3)
    model(x)
    report = gradflow.audit(model, inputs=x)
    assert not report.diagnostics
    assert any("kept from before" in text for text in report.undetermined)


@pytest.mark.parametrize("model", [Idle(), Keeping(is_buffer=True)], ids=["not read", "a buffer"])
def test_a_layer_that_did_not_run_beside_what_is_no_memo(model: Keeping) -> None:
    model.is_ready = True
    report = gradflow.check(model, "layer", inputs=torch.ones(2, 3))
    assert (report.verdict, [one.name for one in report.diagnostics]) == ("unused", ["layer-not-called"])


class Constant(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.spare, self.head = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)
        self.scale = torch.tensor(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x) * self.scale)


class Prepared(Constant):
    def prepare(self, x: torch.Tensor) -> None:
        self.scale = self.spare(x).detach()


def test_a_constant_is_no_memo_of_a_layer_that_no_code_names() -> None:
    report = gradflow.check(Constant(), "spare", inputs=torch.ones(2, 3))
    assert (report.verdict, [(one.name, one.severity) for one in report.diagnostics]) == (
        "unused",
        [("layer-not-called", "error")],
    )
    model = Prepared()
    model.prepare(torch.ones(2, 3))
    assert gradflow.check(model, "spare", inputs=torch.ones(2, 3)).verdict == "not determined"
