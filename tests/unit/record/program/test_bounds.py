"""Where gradflow keeps only so much, nothing is denied of the rest: it is counted on, or said to be left out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gradflow.record.program import numbers
from gradflow.record.program.watching import Watch
from gradflow.watch import explaining
from gradflow.watch.explaining import explain_observation
from gradflow.watch.facts import questions
from gradflow.watch.observing import observation_of


@pytest.mark.parametrize("runs_late", [True, False])
def test_a_hook_that_runs_late_is_no_hook_that_waits(runs_late: bool) -> None:
    watch, layer = Watch(), nn.Linear(2, 1)
    seen = []
    with watch.watching():
        for turn in range(12):
            hidden = layer(torch.ones(1, 2))
            hidden.register_hook(lambda gradient: seen.append(float(gradient)))
            out = hidden if runs_late and turn > 8 else hidden.detach() + 0 * layer.bias
            out.sum().backward()
    observation = observation_of(watch)
    assert len(observation.tensor_hooks) == 12
    assert sum(hook.runs for hook in observation.tensor_hooks) == len(seen) == 3 * runs_late
    names = [one.name for one in explain_observation(observation).diagnostics]
    assert ("detach" in names) is not runs_late


def test_the_numbers_that_left_last_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "_KEPT", 3)
    known = numbers.Numbers()
    for row in range(6):
        known.leave(row, 0.123456 + row * 0.0101)
    known.use(10, [0.123456 + 5 * 0.0101])
    known.use(11, [0.123456])
    assert known.returned == {10: (5,)}


@pytest.mark.parametrize(("owner", "name"), [(questions, "_QUESTIONS"), (explaining, "_QUESTIONS_EXPLAINED")])
@pytest.mark.parametrize("most", [2, 50])
def test_questions_that_are_not_gone_into_are_counted(
    owner: object, name: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, most)
    watch = Watch()
    layers = [nn.Linear(2, 1) for _ in range(5)]
    with watch.watching():
        sum(layer(torch.ones(1, 2)).detach().sum() for layer in layers).requires_grad_().backward()
        for layer in layers:
            str(layer.weight.grad)
    said = [text for text in explain_observation(observation_of(watch)).undetermined if "more gradient" in text]
    assert said == (
        ["what 3 more gradients met that the program asked for: only the first are gone into"] * (most == 2)
    )
