"""Where an output is lost, although a function computes it and another one loses it: the line that loses it."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor, nn

import gradflow
from gradflow.load.loading import workload_from_objects
from gradflow.record.program_sites import ProgramSites
from gradflow.record.run import run_forward


def act(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.relu(layer(x))


def act_twice(layer: nn.Module, x: Tensor) -> Tensor:
    made = act(layer, x) * 2
    return made + 1


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 2)


class Lost(Net):
    def forward(self, inp: Tensor) -> Tensor:
        x = act(self.a, inp)
        x = act(self.b, inp)  # here
        return self.head(x)  # type: ignore[no-any-return]


class LostDeeper(Net):
    def forward(self, inp: Tensor) -> Tensor:
        x = act_twice(self.a, inp)
        x = act_twice(self.b, inp)  # here
        return self.head(x)  # type: ignore[no-any-return]


class LostAttribute(Net):
    def forward(self, inp: Tensor) -> Tensor:
        self.x = act(self.a, inp)
        self.x = act(self.b, inp)  # here
        return self.head(self.x)  # type: ignore[no-any-return]


class Kept(Net):
    """The first result is read by the second call, which makes no use of it."""

    def forward(self, inp: Tensor) -> Tensor:
        x = act(self.a, inp)
        x = act(self.b, inp if x is not None else x)
        return self.head(x)  # type: ignore[no-any-return]


def line_of(model: type[nn.Module], text: str) -> int:
    lines, first = inspect.getsourcelines(model)
    return first + next(number for number, line in enumerate(lines) if text in line)


@pytest.mark.parametrize("model", [Lost, LostDeeper, LostAttribute])
def test_the_caller_that_sets_the_variable_again(model: type[nn.Module]) -> None:
    (found,) = gradflow.check(model(), "a", inputs=torch.rand(2, 6)).diagnostics
    assert found.name == "output-discarded"
    assert found.location is not None
    assert found.location.line == line_of(model, "# here")
    assert found.annotations[0].span.line == line_of(model, "(self.a, inp)")


def test_a_caller_that_reads_it_does_not_lose_it() -> None:
    """That no operation uses it is told of the line that computes it, not of the one that sets the variable again."""
    (found,) = gradflow.check(Kept(), "a", inputs=torch.rand(2, 6)).diagnostics
    assert found.name == "output-discarded"
    assert found.location is not None
    assert found.location.line == line_of(Kept, "x = act(self.a, inp)")
    assert found.annotations[0].span.function == "act"


def test_the_calls_that_lead_to_an_operation_are_those_of_its_moment() -> None:
    workload = workload_from_objects(LostDeeper(), torch.rand(2, 6))
    recording = run_forward(workload, {}, {}, sites=ProgramSites()).recording
    relus = [number for number in range(len(recording)) if recording.name_of(number) == "relu"]
    ways = [[span.line for span in recording.spans_from(recording.operations.site[number], number)] for number in relus]
    inner = [line_of(act, "torch.relu"), line_of(act_twice, "act(layer")]
    assert ways == [
        [*inner, line_of(LostDeeper, "self.a")],
        [*inner, line_of(LostDeeper, "self.b")],
    ]
