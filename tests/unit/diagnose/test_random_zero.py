"""What stochastic depth drops in one run is no fault of the model."""

from __future__ import annotations

import random
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

import gradflow
from gradflow.diagnose.random_zero import DRAWN_ZERO


class Residual(nn.Module):
    def __init__(self, drop: nn.Module) -> None:
        super().__init__()
        self.body, self.head, self.drop = nn.Linear(8, 8), nn.Linear(8, 3), drop

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x + self.drop(torch.relu(self.body(x))))


class Off(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.zeros(1, 1)


class Dead(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(torch.relu(x - 100), 0.5)


class DrawnByHand(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "floor_":
            kept = 0.3 + torch.rand(len(x), 1)
            kept.floor_()
        elif self.how == "bernoulli_":
            kept = x.new_empty(len(x), 1).bernoulli_(0.3).div_(0.3)
        else:
            kept = torch.zeros(len(x), 1)
            kept[torch.randperm(len(x))[:1]] = 1
        return x * kept


def first_seed(drop: nn.Module) -> int:
    """One whose draw leaves out the first sample, of which the score is."""
    for seed in range(50):
        torch.manual_seed(seed)
        if not drop(torch.ones(4, 8))[0].any():
            return seed
    raise AssertionError("none leaves it out")


@pytest.mark.parametrize("how", ["floor_", "bernoulli_", "randperm"])
def test_a_draw_is_one_however_it_is_written(how: str) -> None:
    drop = DrawnByHand(how)
    model = Residual(drop)
    torch.manual_seed(first_seed(drop))
    (found,) = gradflow.check(model, "body", inputs=torch.ones(4, 8)).diagnostics
    assert found.name == "zero-multiplier"
    assert found.label == DRAWN_ZERO
    assert "a gradient goes on here in" in found.notes[-1]


def test_a_dropped_block_is_told_and_not_warned_of() -> None:
    torch.manual_seed(0)
    report = gradflow.audit(Residual(StochasticDepth(0.9, "row")), inputs=torch.randn(2, 8))
    assert [(found.name, found.severity) for found in report.diagnostics] == [("zero-multiplier", "info")]
    assert "depends on random numbers" in report.diagnostics[0].notes[0]
    assert "a gradient goes on here in" in report.diagnostics[0].notes[-1]
    assert "eval mode" in report.diagnostics[0].helps[0].text


def test_what_is_zero_in_every_draw_is_not_said_to_be_drawn() -> None:
    torch.manual_seed(0)
    (found,) = gradflow.audit(
        Residual(nn.Sequential(StochasticDepth(1.0, "row"))), inputs=torch.randn(2, 8)
    ).diagnostics
    assert (found.name, found.severity) == ("zero-multiplier", "warning")
    assert found.label != DRAWN_ZERO


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_zeros_of_a_dead_relu_are_its_own_behind_a_dropout(mode: Literal["train", "eval"]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), Dead(), nn.Linear(8, 3))
    report = gradflow.check(model, (), parameter="2.weight", inputs=torch.randn(2, 8), mode=mode)
    (found,) = report.diagnostics
    assert found.name == "saturation"
    assert "the zeros of `relu`" in found.message


def test_an_lstm_that_is_read_at_its_first_step_is_not_said_to_be_drawn() -> None:
    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop, self.rnn = nn.Dropout(0.3), nn.LSTM(8, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.rnn(self.drop(x)[:, None])[0][0]

    torch.manual_seed(0)
    report = gradflow.check(First(), (), parameter="rnn.weight_hh_l0", inputs=torch.randn(4, 8))
    assert report.verdict == "zero"
    assert DRAWN_ZERO not in [found.label for found in report.diagnostics]


def test_without_any_draw_nothing_runs_again() -> None:
    torch.manual_seed(0)
    model = Residual(Off())
    counts = []
    for drop in (Off(), nn.Sequential(nn.Dropout(0.5), Off())):
        model.drop = drop
        counts.append(gradflow.check(model, "body", inputs=torch.randn(2, 8)).environment.forward_count)
    assert counts[0] < counts[1]


def test_a_factor_that_is_always_zero_is_warned_of() -> None:
    torch.manual_seed(0)
    report = gradflow.audit(Residual(Off()), inputs=torch.randn(2, 8))
    assert [(found.name, found.severity) for found in report.diagnostics] == [("zero-multiplier", "warning")]


class Gated(nn.Module):
    """A branch with a gate of its own: a number that is kept, or a relu that is dead where ``gate`` is 0."""

    def __init__(self, gate: float, kind: str) -> None:
        super().__init__()
        self.branch, self.kind = nn.Linear(8, 8), kind
        self.register_buffer("gate", torch.tensor(gate))

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.relu(x.abs() + 100 * (self.gate - 1)) if self.kind == "relu" else self.gate * 2
        return x + self.branch(x) * gate


class Skipping(nn.Module):
    """Its first block is left out now and then, and its second has a gate that is never open."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Gated(gate, kind) for gate in (1.0, 0.0, 1.0)])
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        for number, block in enumerate(self.blocks):
            if number == 0 and torch.rand(()).item() < 0.5:
                continue
            x = block(x)
        return self.head(x)


@pytest.mark.parametrize("kind", ["number", "relu"])
@pytest.mark.parametrize("seed", range(4))
def test_a_line_that_another_block_runs_in_another_run_tells_nothing_of_this_one(seed: int, kind: str) -> None:
    torch.manual_seed(seed)
    model = Skipping(kind)
    (found,) = gradflow.check(model, "blocks.1.branch", inputs=torch.randn(2, 8)).diagnostics
    assert found.label != DRAWN_ZERO
    assert "nothing goes on here either" in found.notes[-1]


def test_a_loop_in_one_forward_that_skips_a_turn_tells_nothing_of_its_lines() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(3)])
            self.register_buffer("gates", torch.tensor([1.0, 0.0, 1.0]))

        def forward(self, x: Tensor) -> Tensor:
            for number, layer in enumerate(self.layers):
                if number == 0 and torch.rand(()).item() < 0.5:
                    continue
                x = x + layer(x) * (self.gates[number] * 2)
            return x

    for seed in range(4):
        torch.manual_seed(seed)
        (found,) = gradflow.check(Loop(), "layers.1", inputs=torch.randn(2, 8)).diagnostics
        assert found.label != DRAWN_ZERO
        assert "a gradient goes on here" not in found.notes[-1]


class Shut(nn.Module):
    """A gate that is never open, with a dropout before it or behind."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.body, self.gate, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.drop, self.where = nn.Dropout(0.1), where

    def forward(self, x: Tensor) -> Tensor:
        gated = self.gate(self.drop(x) if self.where == "before" else x)
        x = x + self.body(x) * torch.relu(gated - 100)
        return self.head(self.drop(x) if self.where == "behind" else x)


def test_what_is_computed_of_nothing_drawn_is_not_looked_for_in_other_draws() -> None:
    counts = {}
    for where in ("nowhere", "behind", "before"):
        torch.manual_seed(0)
        report = gradflow.check(Shut(where), "body", inputs=torch.randn(2, 8))
        (found,) = report.diagnostics
        assert found.name == "saturation"
        assert any("other random numbers" in note for note in found.notes) is (where == "before")
        counts[where] = report.environment.forward_count
    assert counts["behind"] == counts["nowhere"] + 1
    assert counts["before"] > counts["behind"] + 4


def test_numbers_that_python_draws_are_looked_for_behind_any_zero() -> None:
    class ByPython(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * (x.new_ones(()) * float(random.random() < 0.5))

    torch.manual_seed(0)
    model = Residual(ByPython())
    random.seed(next(seed for seed in range(99) if random.Random(seed).random() > 0.5))
    (found,) = gradflow.check(model, "body", inputs=torch.ones(4, 8)).diagnostics
    assert found.label == DRAWN_ZERO
