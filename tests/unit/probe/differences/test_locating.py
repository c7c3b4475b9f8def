"""`--verify` names what is known of the place of a difference: one layer, or the lines between two comparisons."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

import gradflow
from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.report import Report


def _verified(model: nn.Module, parameter: str, *inputs: torch.Tensor) -> tuple[Report, Diagnostic]:
    report = gradflow.check(
        model, (), parameter=parameter, inputs=inputs, score=lambda output: output.square().sum(), verify=True
    )
    found = next(one for one in report.diagnostics if one.code in {"GF410", "GF401"})
    return report, found


def _line(found: Diagnostic) -> str:
    assert found.location is not None
    return Path(found.location.path).read_text(encoding="utf-8").splitlines()[found.location.line - 1].strip()


class _Words(nn.Module):
    """The gradient of the table is scaled by how often a word comes, as torch documents: it is no derivative."""

    def __init__(self, *, scale: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(5, 3, scale_grad_by_freq=scale)
        self.mix, self.out = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        one = self.table(first)
        two = self.table(second)
        return self.out(self.mix(one + two))


FIRST, SECOND = torch.tensor([1, 1, 2]), torch.tensor([2, 3, 3])


def test_the_layer_that_holds_the_parameter_is_told_from_what_follows() -> None:
    report, found = _verified(_Words(scale=True), "table.weight", FIRST, SECOND)
    assert report.verdict == "wrong"
    assert (found.severity, found.module) == ("error", "table")
    assert _line(found) == "one = self.table(first)"
    assert found.label == "the difference arises in `table`"
    assert "it is wrong still at `table.weight`, and right at the output of `table`" in found.notes
    assert "option that scales" in found.helps[0].text


def test_without_the_option_it_is_right() -> None:
    report, found = _verified(_Words(scale=False), "table.weight", FIRST, SECOND)
    assert report.verdict == "connected"
    assert found.severity == "info"


class _Cells(nn.Module):
    """Several points are written to one cell: the last one wins, and all of them get its gradient."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.point, self.out = nn.Linear(3, 4), nn.Linear(5, 2)

    def forward(self, points: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        grid = torch.zeros(4, 5)
        grid[:, cells] = self.point(points).tanh().T
        return self.out(grid)


def test_lines_between_two_layers_are_named() -> None:
    report, found = _verified(_Cells(), "point.weight", torch.randn(4, 3), torch.tensor([0, 0, 0, 2]))
    assert report.verdict == "wrong"
    assert _line(found) == "grid[:, cells] = self.point(points).tanh().T"
    assert found.label == "the difference arises here or further on"
    assert [annotation.label for annotation in found.annotations] == ["but not behind this"]
    assert any("in which of them it arises is not determined" in note for note in found.notes)
    assert "more than once" in found.helps[0].text


def test_each_cell_once_is_right() -> None:
    report, _ = _verified(_Cells(), "point.weight", torch.randn(4, 3), torch.tensor([0, 1, 3, 2]))
    assert report.verdict == "connected"


class _Negatives(nn.Module):
    """Draws negatives from itself with its parameters switched off, and detaches them: meant, as every EBM does."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.energy = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        drawn = torch.ones_like(x).requires_grad_()
        (slope,) = torch.autograd.grad(self.energy(drawn).sum(), drawn)
        negative = (drawn - slope).detach()
        for parameter in self.parameters():
            parameter.requires_grad_(True)
        return self.energy(x) - self.energy(negative)


def test_a_stop_behind_what_is_switched_off_is_named_and_meant() -> None:
    report, found = _verified(_Negatives(), "energy.0.weight", torch.randn(4, 2))
    assert report.verdict == "connected"
    assert (found.code, found.severity) == ("GF401", "info")
    assert _line(found) == "parameter.requires_grad_(False)"
    assert any("usually this is meant" in note for note in found.notes)


def test_the_way_of_a_parameter_that_is_switched_on_again_is_whole() -> None:
    report = gradflow.check(_Negatives(), (), parameter="energy.0.weight", inputs=torch.randn(4, 2))
    assert report.verdict == "connected"
    assert report.diagnostics == ()
