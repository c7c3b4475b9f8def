"""Steps of optimizers: what is within one is not recorded, what comes after it is, however it ended."""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch import nn

import gradflow
from gradflow.record.program.watching import Watch
from gradflow.recording.program.recording import ProgramRecording


class Skipping(torch.optim.SGD):
    """Skips the first steps by raising."""

    left = 0

    def step(self, closure=None):
        if self.left:
            self.left -= 1
            raise ValueError("skipped")
        return super().step(closure)


def train(optimizer: torch.optim.Optimizer, layer: nn.Linear, turns: int = 1) -> None:
    for _ in range(turns):
        layer.zero_grad()
        layer(torch.ones(1, 2)).sum().backward()
        try:
            optimizer.step()
        except ValueError:
            continue


def test_what_follows_a_step_that_raised_is_seen() -> None:
    layer = nn.Linear(2, 1)
    optimizer = Skipping(layer.parameters(), lr=0.1)
    optimizer.left = 1
    with gradflow.explain(quiet=True) as explanation:
        train(optimizer, layer)
        hidden = layer(torch.ones(1, 2)).detach()
        with pytest.raises(RuntimeError, match="does not require grad"):
            hidden.sum().backward()
    assert [one.name for one in explanation.report.diagnostics] == ["detach"]


def steps_of(make, turns: int = 3, skipped: int = 0) -> tuple[ProgramRecording, int]:
    watch = Watch()
    layer = nn.Linear(2, 1)
    optimizer = make(layer.parameters())
    optimizer.left = skipped
    with watch.watching():
        train(optimizer, layer, turns)
        before = len(watch.recorder.operations.name)
        assert watch.recorder.suspended == 0
        layer(torch.ones(1, 2))
        assert len(watch.recorder.operations.name) > before
    observation = watch.seen()
    return observation, len(observation.optimizers[0].steps)


def test_a_step_that_raised_is_none() -> None:
    observation, steps = steps_of(lambda parameters: Skipping(parameters, lr=0.1), turns=4, skipped=1)
    assert steps == 3
    assert observation.optimizers[0].complete_steps == 3


def test_a_step_that_calls_the_one_of_its_base_is_one_step() -> None:
    torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1)  # from here on torch calls hooks for the base as well
    observation, steps = steps_of(lambda parameters: Skipping(parameters, lr=0.1))
    assert steps == observation.optimizers[0].complete_steps == 3


def test_nothing_within_a_step_is_recorded() -> None:
    watch = Watch()
    layer = nn.Linear(2, 1)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 2)).sum().backward()
    with watch.watching():
        optimizer.step()
    # what torch's profiler is told of a step lies around it
    recording = watch.seen().recording
    assert all(recording.name_of(row).startswith("_record_function") for row in range(len(recording)))


def test_a_closure_is_recorded_and_its_optimizer_steps_once() -> None:
    watch = Watch()
    layer = nn.Linear(2, 1)

    def closure():
        layer.zero_grad()
        loss = layer(torch.ones(1, 2)).square().sum()
        loss.backward()
        return loss

    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=3)
    with watch.watching():
        optimizer.step(closure)
    observation = watch.seen()
    assert len(observation.optimizers[0].steps) == 1
    assert observation.optimizers[0].complete_steps == 1
    assert len(observation.backwards) >= 2


@pytest.mark.parametrize("raises", [True, False])
def test_a_step_with_a_closure_is_known_from_its_beginning_to_its_end(raises: bool) -> None:
    watch = Watch()
    layer = nn.Linear(2, 1)

    def closure():
        loss = layer(torch.ones(1, 2)).square().sum()
        loss.backward()
        if raises:
            raise ValueError("in the closure")
        return loss

    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=1)
    with watch.watching():
        with pytest.raises(ValueError, match="closure") if raises else contextlib.nullcontext():
            optimizer.step(closure)
        layer(torch.ones(1, 2)).sum().backward()
    observation = watch.seen()
    (begun, ended), *others = observation.optimizers[0].closures
    first, last = observation.backwards[0].operation, observation.backwards[-1].operation
    assert others == []
    assert begun <= first <= ended < last
    assert len(observation.optimizers[0].steps) == (not raises)
