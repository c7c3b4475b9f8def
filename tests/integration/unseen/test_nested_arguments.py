"""A value is followed into an operation however the program hands it over."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

import gradflow
from gradflow.load.loading import workload_from_objects
from gradflow.record.program_sites import ProgramSites
from gradflow.record.run import run_forward


class Pair(NamedTuple):
    left: torch.Tensor
    right: torch.Tensor


@dataclasses.dataclass(slots=True)
class Settings:
    factor: float
    shift: Any = None


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, settings: Settings) -> torch.Tensor:
        return x * settings.factor

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        return grad * 2.0, None


class Net(nn.Module):
    def __init__(self, between: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(4, 4)
        self.between = between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.between(x, self.first(x)).flatten(1)[:, :2]


X = torch.linspace(-1, 1, 8).reshape(2, 4)
CUT = {
    "named tuple": lambda x, h: torch.cat(Pair(h.detach(), h.detach()), 1),
    "struct sequence": lambda x, h: torch.stack(torch.aminmax(h.detach(), dim=1), 1),
    "number first": lambda x, h: x + torch.tensor([0.0, h.detach().sum(), 1.0, 0.0]),
    "index after a number": lambda x, h: x[0, h.argmax(1)][:, None].expand(2, 4),
}


@pytest.mark.parametrize("cut", CUT)
def test_the_line_of_the_cut_is_found(cut: str) -> None:
    report = gradflow.check(Net(CUT[cut]), "first", inputs=X, target=1)
    assert report.verdict == "broken"
    assert report.diagnostics[0].severity == "error"
    assert report.diagnostics[0].location is not None


WHOLE = {
    "named tuple": lambda x, h: torch.cat(Pair(h, h.detach() * 0 + x), 1),
    "slots for a custom function": lambda x, h: Scaled.apply(h, Settings(2.0)),
    "whole numbers first": lambda x, h: h[torch.tensor(0), torch.tensor([0, 1, 2, 3])].expand(2, 4),
}


@pytest.mark.parametrize("way", WHOLE)
def test_what_is_whole_stays_connected(way: str) -> None:
    report = gradflow.check(Net(WHOLE[way]), "first", inputs=X, target=1)
    assert (report.verdict, report.diagnostics) == ("connected", ())
    assert all(parameter.state == "gradient" for parameter in gradflow.audit(Net(WHOLE[way]), inputs=X).parameters)


class Many(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(x * number for number in range(12))


class ReadsOne(nn.Module):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.first, self.many, self.number = nn.Linear(4, 4), Many(), number

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.many(self.first(x))[self.number]


@pytest.mark.parametrize("number", [7, 8, 11])
def test_a_late_output_of_a_layer_is_one_of_its_outputs(number: int) -> None:
    model = ReadsOne(number)
    run = run_forward(workload_from_objects(model, X, target=1), {"many": model.many}, {}, sites=ProgramSites())
    (call,) = run.recording.calls_by_module["many"]
    assert len(call.outputs) == 12
    assert len(run.live.activations["many"][0].others) == 11
    report = gradflow.check(model, "many", inputs=X, target=1)
    assert (report.verdict, report.diagnostics) == ("connected", ())
    assert any(f"tensor {number + 1} of the 12" in one for one in report.assumptions)
