"""Weights of a layer that was not called: used by whoever can read them, or only written over."""

from __future__ import annotations

import inspect

import torch
from torch import nn
from torch.nn import functional

import gradflow
from gradflow.diagnose.diagnostic import Diagnostic


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.used, self.spare, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)


def found(model: nn.Module) -> Diagnostic:
    report = gradflow.check(model, "spare", inputs=torch.rand(2, 4))
    assert report.verdict == "unused"
    (diagnostic,) = report.diagnostics
    return diagnostic


def line_in(kind: type) -> int:
    lines, first = inspect.getsourcelines(kind)
    return first + next(number for number, line in enumerate(lines) if line.rstrip().endswith("# here"))


class WrittenOver(Layers):
    """A copy is put into the weights, and nothing reads them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.spare.weight.data.copy_(self.used.weight)
        return self.head(self.used(x))


def test_what_is_only_written_over_is_not_used() -> None:
    told = found(WrittenOver())
    assert told.name == "layer-not-called"
    assert told.notes == ("no code of `WrittenOver` calls `self.spare`",)


class WrittenOverAndRead(Layers):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.spare.weight.data.copy_(self.used.weight)
        return self.head(functional.linear(x, self.spare.weight))  # here


def test_what_is_written_over_and_then_read_is_used() -> None:
    told = found(WrittenOverAndRead())
    assert told.name == "functional-bypass"
    assert told.location is not None
    assert told.location.line == line_in(WrittenOverAndRead)


class Handed(Layers):
    """The weights are what another layer is called with, a line before they meet the input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bank = self.used(self.spare.weight)  # here
        return self.head(x @ bank.T)


def test_a_layer_that_is_given_the_weights_is_not_who_reads_them() -> None:
    told = found(Handed())
    assert told.name == "functional-bypass"
    assert told.location is not None
    assert told.location.line == line_in(Handed)
    assert told.notes[0].startswith("the model uses the weights of `spare` without calling it")
    assert "whole of" not in told.helps[0].text
