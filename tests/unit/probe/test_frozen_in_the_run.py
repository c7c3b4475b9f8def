"""A parameter that the model freezes while it runs: autograd asks for its flag in backward, not when it is used."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow


class Net(nn.Module):
    def __init__(self, when: str) -> None:
        super().__init__()
        self.when = when
        self.a, self.b = nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.when == "before":
            self.a.requires_grad_(False)
        h = self.a(x)
        if self.when in ("after", "for a while"):
            self.a.requires_grad_(False)
        if self.when == "by its flag":
            for parameter in self.a.parameters():
                parameter.requires_grad = False
        y: torch.Tensor = self.b(torch.relu(h))
        if self.when == "for a while":
            self.a.requires_grad_(True)
        return y


X = torch.linspace(-1, 1, 10).reshape(2, 5)


@pytest.mark.parametrize(
    ("when", "codes"),
    [("never", []), ("for a while", []), ("before", ["GF107"]), ("after", ["GF107"]), ("by its flag", ["GF107"])],
)
def test_one_fault_gives_one_diagnostic(when: str, codes: list[str]) -> None:
    report = gradflow.check(Net(when), parameter="a.weight", inputs=X)
    assert [one.code for one in report.diagnostics] == codes
    assert report.verdict == ("broken" if codes else "connected")
    audit = gradflow.audit(Net(when), inputs=X)
    assert [one.code for one in audit.diagnostics if one.severity == "error"] == codes
    assert audit.exit_code == bool(codes)


@pytest.mark.parametrize("when", ["never", "for a while", "before", "after", "by its flag"])
def test_the_answer_is_that_of_torch(when: str) -> None:
    torch.manual_seed(0)  # not one in which every ReLU is dead
    model = Net(when)
    model(X).sum().backward()
    arrives = model.a.weight.grad is not None
    model.zero_grad()
    assert arrives == gradflow.check(model, parameter="a.weight", inputs=X).connected


@pytest.mark.parametrize("when", ["for a while", "after", "by its flag"])
def test_the_layer_itself_is_connected_and_the_flags_are_put_back(when: str) -> None:
    model = Net(when)
    assert gradflow.check(model, "a", inputs=X).connected
    assert all(parameter.requires_grad for parameter in model.parameters())
