"""Where gradflow keeps only so much, nothing is denied of the rest: it is counted on, or said to be left out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gradflow.record.program import numbers
from gradflow.record.program.own_files import own_files
from gradflow.record.program.watching import Watch
from gradflow.watch import explaining, formulas
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
    assert len(observation.program.tensor_hooks) == 12
    assert sum(hook.runs for hook in observation.program.tensor_hooks) == len(seen) == 3 * runs_late
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


@pytest.mark.parametrize(("entries", "is_partly"), [(256, False), (257, True)])
@pytest.mark.parametrize("as_list", [True, False])
def test_more_numbers_than_are_looked_at_are_noted(entries: int, is_partly: bool, as_list: bool) -> None:
    known, tensor = numbers.Numbers(), torch.rand(entries)
    known.leave(7, tensor.tolist() if as_list else tensor.numpy())
    assert known.partly == ({7} if is_partly else set())


def test_each_parameter_that_lacks_its_gradient_is_asked_about_once() -> None:
    watch = Watch()
    layers = [nn.Linear(1, 1) for _ in range(40)]
    with watch.watching():
        sum(layer(torch.ones(1, 1)).detach().sum() for layer in layers).requires_grad_().backward()
        for _ in range(3):
            for layer in layers:
                str(layer.weight.grad)
    asked = questions.questions_in(observation_of(watch))
    assert len({question.target for question in asked}) == 40
    assert len(asked) == 40


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):  # type: ignore[no-untyped-def]
        return x * 2

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return gradient * 2


@pytest.mark.parametrize(
    ("name", "why"), [("_SECONDS", "the others took"), ("_SECONDS_PER_CALL", "one call of it takes")]
)
def test_a_function_for_which_there_is_no_time_is_said(name: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, is_said in ((1e9, False), (-1.0, True)):
        monkeypatch.setattr(formulas, name, limit)
        watch = Watch()
        with watch.watching():
            Doubled.apply(torch.ones(2, requires_grad=True)).sum().backward()
        said = explain_observation(observation_of(watch)).undetermined
        assert (
            any(text.startswith(f"whether the backward of `Doubled` is right, because {why}") for text in said)
            is is_said
        )


def test_a_function_is_looked_into_however_late_its_score_is_differentiated() -> None:
    watch, x = Watch(), torch.ones(2, requires_grad=True)
    with watch.watching():
        made = Doubled.apply(x)
        for _ in range(6):
            (x * 3).sum().backward()
        made.sum().backward()
    assert [check.outcome for check in observation_of(watch).formulas] == ["right"]


def test_all_files_of_a_program_are_its_own() -> None:
    files = [f"/program/part{number}.py" for number in range(150)]
    assert set(files) <= set(own_files(files, None))
