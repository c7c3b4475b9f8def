"""Loops that are left before they come to a layer, and layers that are only read: the code says so, and no more."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import nn

import gradflow
from gradflow.diagnose.diagnostic import Diagnostic


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.used, self.spare = nn.Linear(4, 4), nn.Linear(4, 4)
        self.limit, self.name = 0, "used"


class LeftByBreak(Layers):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for step in self.steps:
            x = step(x)
            if x.abs().sum() < 1e6:  # here
                break
        return x


class LeftByReturn(Layers):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        position = 0
        while True:
            x = self.steps[position](x)
            position += 1
            if position > self.limit:  # here
                return self.used(x)


class LeftFromWithin(Layers):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for step in self.steps:
            x = step(x)
            with torch.no_grad():
                if self.limit:
                    x = x * 2
                elif not self.limit:  # here
                    return x
        return x


class LeftAtOnce(Layers):
    def forward(self, x: torch.Tensor) -> Any:
        for step in self.steps:
            x = step(x)
            break  # here
        return x


class InnerLoopOnly(Layers):
    """The ``break`` leaves another loop: the slice is what leaves the layer out."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for step in self.steps[:1]:  # here
            x = step(x)
            for _ in range(3):
                if self.limit:
                    break
        return x


class ShorterThanItself(Layers):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for step, _ in zip(self.steps, "a", strict=False):
            x = step(x)  # here
        return x


def told(model: nn.Module, layer: str) -> tuple[Diagnostic, str]:
    (found,) = gradflow.check(model, layer, inputs=torch.rand(2, 4)).diagnostics
    assert found.code == "GF301"
    return found, " ".join((found.label, *found.notes, *(one.text for one in found.helps)))


def line_in(cls: type, text: str = "# here") -> int:
    lines, first = inspect.getsourcelines(cls)
    return next(number for number, line in enumerate(lines, first) if text in line)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (LeftByBreak, "`x.abs().sum() < 1000000.0` was probably true, so the loop was left before `step(x)`"),
        (LeftByReturn, "`position > self.limit` was true, so the loop was left before"),
        (LeftFromWithin, "`not self.limit` was probably true, so the loop was left"),
        (LeftAtOnce, "leaves the loop in its first round"),
        (InnerLoopOnly, "`self.steps[:1]` leaves out element 2"),
        (ShorterThanItself, "the loop may end before it comes to this one"),
    ],
)
def test_what_leaves_a_loop_explains_why_a_layer_in_it_did_not_run(kind: type[Layers], said: str) -> None:
    found, text = told(kind(), "steps.2")
    assert found.location is not None
    assert found.location.line == line_in(kind)
    assert said in text


class Listed(Layers):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return [self.used, self.spare][self.limit](x)  # here


class Returned(Layers):
    def table(self) -> dict[str, nn.Module]:
        return {"used": self.used, "spare": self.spare}  # here

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.table()[self.name](x)


class ByName(Layers):
    def take(self, name: str) -> Any:
        return getattr(self, name)  # here

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.take(self.name)(x)


class GivenAway(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.plain = {"spare": self.spare}  # here

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.used(x)


@pytest.mark.parametrize("kind", [Listed, Returned, ByName, GivenAway])
def test_a_layer_that_code_hands_on_is_not_said_to_be_called_nowhere(kind: type[Layers]) -> None:
    _, text = told(kind(), "spare")
    assert "no code" not in text
    assert f"read on line {line_in(kind)}" in text


class ReturnedOnACondition(Layers):
    def fitting(self) -> nn.Module:
        return self.spare if self.limit else self.used  # here

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        layer = self.fitting()
        return layer(x)


def test_a_layer_that_a_method_returns_on_a_condition() -> None:
    found, text = told(ReturnedOnACondition(), "spare")
    assert found.location is not None
    assert found.location.line == line_in(ReturnedOnACondition)
    assert "`self.limit` was probably false in this run, so `self.spare`" in text


class Asked(Layers):
    """Looks at the layer, and hands it to nobody."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.spare is not None and len(self.steps) and isinstance(self.spare, nn.Linear):
            x = x * self.spare.in_features
        return self.used(x)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("spare", "no code of `Asked` calls `self.spare` call `self.spare(...)` in `forward`, or remove it"),
        ("steps.1", "no code of `Asked` calls `self.steps[1]` call `self.steps[1](...)` in `forward`, or remove it"),
    ],
)
def test_a_layer_that_nothing_hands_on(layer: str, said: str) -> None:
    assert said in told(Asked(), layer)[1]


def test_a_list_of_modules_cannot_be_called() -> None:
    audited = gradflow.audit(Asked(), inputs=torch.rand(2, 4))
    helps = [one.text for found in audited.diagnostics for one in found.helps]
    assert "use what `self.steps` holds in `forward`, or remove it" in helps
