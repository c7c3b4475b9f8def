"""A layer inside TorchScript is not seen to run: neither used nor unused, unless what holds it never ran."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow

X = torch.linspace(-1, 1, 12).reshape(3, 4)

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


class Gate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.inner(x))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gate, self.head = torch.jit.script(Gate()), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.gate(x))


class PastTheHooks(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.gate.forward(x))


class WithoutTheGate(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x)


class InnerAlone(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.gate.inner(x))


@pytest.mark.parametrize("model", [Net, PastTheHooks])
def test_a_layer_inside_what_ran_is_not_determined(model: type[Net]) -> None:
    report = gradflow.check(model(), "gate.inner", inputs=X, target=1)
    assert report.verdict == "not determined"
    assert [one.name for one in report.diagnostics] == ["compiled-hooks"]
    assert report.undetermined == (
        (
            "whether score[1] depends on `gate.inner`, because it is inside `gate`, a program of TorchScript, "
            "and what runs there is not recorded"
        ),
    )


def test_the_part_itself_and_what_is_around_it_are_seen() -> None:
    assert gradflow.check(Net(), ["gate", "head"], inputs=X, target=1).connected


def test_a_layer_inside_what_never_ran_is_unused() -> None:
    report = gradflow.check(WithoutTheGate(), "gate.inner", inputs=X, target=1)
    assert report.verdict == "unused"
    assert report.diagnostics[0].notes[0].startswith("the layer is inside `gate`, which never ran")


def test_a_layer_that_is_called_from_outside_is_seen() -> None:
    assert gradflow.check(InnerAlone(), "gate.inner", inputs=X, target=1).connected
