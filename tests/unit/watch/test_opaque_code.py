"""What is lost in TorchScript or compiled code, or leaves torch as memory: no claim about what was not seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from gradflow.record.program.watching import Watch
from gradflow.report import Report
from gradflow.watch.explaining import explain_observation
from gradflow.watch.observing import observation_of

pytestmark = pytest.mark.filterwarnings("ignore")


class Stopped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.l, self.other = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.l(x).detach()


Maker = Callable[[Callable[..., torch.Tensor]], Callable[..., torch.Tensor]]
MAKERS: list[Maker] = [torch.jit.script, lambda f: torch.compile(f, backend="eager")]


def stopping(x: torch.Tensor) -> torch.Tensor:
    return x.detach() * 2


def writing(x: torch.Tensor, y: torch.Tensor) -> None:
    x[0] = y.detach()[0]


def choosing(x: torch.Tensor) -> torch.Tensor:
    return x.argmax(-1)


def _report(program: Callable[[], object]) -> Report:
    watch = Watch()
    with warnings.catch_warnings(), watch.watching():
        program()
    return explain_observation(observation_of(watch))


def _asked(piece: Callable[[torch.Tensor], torch.Tensor], parameter: nn.Parameter) -> Report:
    """What is said of ``parameter`` without a gradient, where a loss is computed through ``piece``."""
    head = nn.Linear(3, 1)

    def program() -> None:
        head(piece(torch.ones(2, 3))).sum().backward()
        print(parameter.grad)  # noqa: T201  (a read that is used)

    return _report(program)


def test_a_layer_inside_torchscript_is_not_said_to_be_idle() -> None:
    scripted = torch.jit.script(Stopped())
    report = _asked(scripted, scripted.l.weight)
    assert (report.diagnostics, report.verdict) == ((), "not determined")
    assert "because the TorchScript that runs at" in report.undetermined[0]


def test_a_layer_that_torchscript_does_not_hold_is_idle() -> None:
    scripted = torch.jit.script(nn.Linear(3, 3))
    report = _asked(scripted, nn.Linear(3, 3).weight)
    assert [one.name for one in report.diagnostics] == ["output-discarded"]


def test_a_scripted_module_whose_result_is_not_used() -> None:
    scripted = torch.jit.script(nn.Linear(3, 3))

    def unused(x: torch.Tensor) -> torch.Tensor:
        scripted(x)
        return x

    assert [one.name for one in _asked(unused, scripted.weight).diagnostics] == ["output-discarded"]


@pytest.mark.parametrize("make", MAKERS)
def test_what_is_lost_inside_is_no_operation_without_derivative(
    make: Callable[..., Callable[..., torch.Tensor]],
) -> None:
    layer = nn.Linear(3, 3)
    report = _asked(lambda x: make(stopping)(layer(x)), layer.weight)
    assert report.diagnostics == ()
    assert report.undetermined[0].startswith("what takes")


def test_what_torchscript_writes_elsewhere_is_not_denied() -> None:
    layer, write = nn.Linear(3, 3), torch.jit.script(writing)

    def written(x: torch.Tensor) -> torch.Tensor:
        made = torch.zeros(2, 3)
        write(made, layer(x))
        return made

    report = _asked(written, layer.weight)
    assert report.diagnostics == ()
    assert "writes to what it is given" in report.undetermined[0]


@pytest.mark.parametrize("make", MAKERS)
def test_whole_numbers_from_inside_have_no_derivative(make: Maker) -> None:
    layer, embedding = nn.Linear(3, 3), nn.Embedding(3, 3)
    (found,) = _asked(lambda x: embedding(make(choosing)(layer(x))), layer.weight).diagnostics
    assert found.name == "nondiff-op"
    assert "whole numbers" in found.notes[0]


def _trained(step: Callable[[nn.Linear, torch.Tensor], torch.Tensor], *more: nn.Module) -> Report:
    def program() -> None:
        first, head = nn.Linear(3, 3), nn.Linear(3, 1)
        optimizer = torch.optim.SGD([p for one in (first, head, *more) for p in one.parameters()], lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            head(step(first, torch.rand(2, 3))).pow(2).sum().backward()
            optimizer.step()

    return _report(program)


def test_an_optimizer_is_told_that_the_cause_is_inside() -> None:
    stop = torch.jit.script(stopping)
    (found,) = _trained(lambda first, x: stop(first(x))).diagnostics
    assert found.name == "no-gradient-at-step"
    assert any(note.startswith("not determined: what takes") for note in found.notes)
    assert not any("let the loss be computed" in one.text for one in found.helps)


def test_a_detach_before_torchscript_is_named() -> None:
    scripted = torch.jit.script(nn.Linear(3, 3))
    (found,) = _trained(lambda first, x: scripted(first(x).detach()), scripted).diagnostics
    assert found.name == "detach"


def test_a_healthy_scripted_piece_is_silent() -> None:
    scripted = torch.jit.script(nn.Linear(3, 3))
    report = _trained(lambda first, x: scripted(first(x)), scripted)
    assert (report.diagnostics, report.undetermined) == ((), ())


def test_memory_that_another_library_takes_over_is_followed() -> None:
    def through(first: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        return torch.from_dlpack(np.from_dlpack(first(x).detach()).copy())

    assert [one.name for one in _trained(through).diagnostics] == ["numpy-roundtrip"]


def test_memory_that_is_only_looked_at_cuts_nothing() -> None:
    def looked_at(first: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        made = first(x)
        np.from_dlpack(made.detach()).copy()
        return made + torch.from_dlpack(np.ones((2, 3), dtype=np.float32))

    report = _trained(looked_at)
    assert (report.diagnostics, report.undetermined) == ((), ())
