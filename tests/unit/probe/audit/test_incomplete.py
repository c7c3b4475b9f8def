"""An audit looks at every part of a network for gradients that arrive and are not whole."""

from __future__ import annotations

import copy

import numpy
import pytest
import torch
from torch import nn

import gradflow


class Tower(nn.Module):
    def __init__(self, share: float) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.share = share

    def forward(self, x):
        x = self.second(self.first(x).tanh())
        return x + self.share * x.detach()


class Towers(nn.Module):
    def __init__(self, *shares: float) -> None:
        super().__init__()
        self.towers = nn.ModuleList(Tower(share) for share in shares)

    def forward(self, x):
        return torch.stack([tower(x).square() for tower in self.towers])


def incomplete(report) -> set[str]:
    return {name for one in report.diagnostics if one.name == "partial-detach" for name in one.hides}


def test_towers_that_are_cut_are_told_and_those_that_are_not_are_not():
    report = gradflow.audit(Towers(0.0, 3.0, 0.0, 2.0), inputs=torch.randn(3, 4))
    hidden = incomplete(report)
    assert {name.split(".")[1] for name in hidden} == {"1", "3"}
    assert "towers.1.first.weight" in hidden
    assert "towers.3.second.bias" in hidden


def test_more_towers_than_are_looked_into_are_not_called_whole():
    report = gradflow.audit(Towers(*[0.0] * 24, 5.0), inputs=torch.randn(3, 4))
    assert incomplete(report) or report.undetermined


def test_what_the_first_layer_has_no_part_in_is_found_at_the_layer_before_the_cut():
    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.late, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            first = self.first(x)
            # the first layer reaches the cut value only through a factor of zero
            late = self.late(x + 0 * first)
            return self.head(first) + self.head(late) + 5 * self.head(late.detach())

    report = gradflow.audit(Late(), inputs=torch.randn(3, 4))
    assert "late.weight" in incomplete(report)


def test_healthy_towers_are_healthy():
    class Healthy(Towers):
        def forward(self, x):
            return torch.stack([tower.second(tower.first(x)) for tower in self.towers])

    report = gradflow.audit(Healthy(1.0, 1.0), inputs=torch.randn(3, 4))
    assert report.exit_code == 0
    assert report.undetermined == ()


class Pair(nn.Module):
    """One encoder for two inputs, the second time without recording; ``head`` gets its whole gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
        self.head = nn.Linear(8, 1)

    def forward(self, a, b):
        one = self.encoder(a)
        with torch.no_grad():
            two = self.encoder(b)
        return self.head(torch.cat([one, two], -1)).squeeze(-1)


def test_all_parameters_that_are_read_in_a_region_are_counted():
    report = gradflow.audit(Pair(), inputs=(torch.randn(6, 8), torch.randn(6, 8)))
    (found,) = (one for one in report.diagnostics if one.name == "partial-detach")
    assert set(found.hides) == {f"encoder.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")}
    assert "4 of 6 parameters" in found.message


def test_a_parameter_that_changes_nothing_behind_the_cut_is_not_counted():
    class Shifted(Pair):
        def forward(self, a, b):
            one = self.encoder(a)
            # a softmax takes out again what is added to all entries alike
            two = self.encoder(b).softmax(-1).detach()
            return self.head(torch.cat([one, two], -1)).squeeze(-1)

    model = Shifted()
    model.shift = nn.Parameter(torch.zeros(()))
    original = model.encoder[2].forward
    model.encoder[2].forward = lambda x: original(x) + model.shift
    report = gradflow.audit(model, inputs=(torch.randn(6, 8), torch.randn(6, 8)))
    (found,) = (one for one in report.diagnostics if one.name == "partial-detach")
    assert "encoder.2.bias" in found.hides
    assert "shift" not in found.hides


class Carried(nn.Module):
    """A state of two tensors, detached between the steps by one expression."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTMCell(3, 5), nn.Linear(5, 2)

    def forward(self, x):
        state = None
        for step in x:
            state = self.cell(step, state if state is None else tuple(one.detach() for one in state))
        return self.head(state[0])


def test_one_expression_that_cuts_several_values_is_one_finding():
    report = gradflow.audit(Carried(), inputs=torch.randn(4, 2, 3))
    (found,) = (one for one in report.diagnostics if one.name == "partial-detach")
    assert {name.partition(".")[0] for name in found.hides} == {"cell"}


class Teacher(nn.Module):
    """A copy that follows without recording, and is asked without recording: only both together cost anything."""

    def __init__(self) -> None:
        super().__init__()
        self.student = nn.Sequential(nn.Linear(5, 8), nn.ELU(), nn.Linear(8, 3))
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)

    @torch.no_grad()
    def update(self):
        for one, other in zip(self.student.parameters(), self.teacher.parameters(), strict=True):
            other.lerp_(one, 0.5)

    def forward(self, x):
        self.update()
        with torch.no_grad():
            soft = self.teacher(x + 0.1).softmax(-1)
        return -(soft * self.student(x).log_softmax(-1)).sum(-1).mean()


def test_what_only_two_cuts_together_cost_is_told_of_both():
    report = gradflow.audit(Teacher(), inputs=torch.randn(8, 5))
    found = [one for one in report.diagnostics if one.name == "partial-detach"]
    assert len(found) == 2
    for one in found:
        assert "all 4 parameters" in one.message
        assert "with this cut and the one at" in one.notes[0]


def test_all_that_is_behind_a_buffer_is_counted():
    """The trial repair writes a history into the buffer, which must not be there in the next one."""

    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = nn.Linear(3, 4), nn.Linear(4, 2)
            self.register_buffer("kept", torch.zeros(5, 4))

        def forward(self, x):
            h = self.layer(x).tanh()
            self.kept.copy_(h.detach())
            return self.head(0.3 * h + self.kept.clone())

    model = Keeping()
    report = gradflow.audit(model, inputs=torch.randn(5, 3))
    assert incomplete(report) == {"layer.weight", "layer.bias"}
    assert model.kept.is_leaf
    assert not model.kept.any()


class Between(nn.Module):
    """Three layers before one cut; what it stops of the first and the last is next to nothing."""

    def __init__(self, stop) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)
        self.stop = stop

    def forward(self, x):
        first, middle, last = self.first(x), self.middle(x), self.last(x)
        stopped = self.stop(1e-9 * first + 5 * middle * middle + 1e-9 * last)
        return (first + middle + last) * (1 + stopped)


def through_numpy(x):
    return torch.from_numpy(numpy.tanh(x.detach().numpy()))


@pytest.mark.parametrize("stop", [torch.detach, through_numpy], ids=["mended", "measured by how the score moves"])
def test_a_parameter_in_between_is_told_where_the_first_and_the_last_before_a_cut_are_whole(stop):
    report = gradflow.audit(Between(stop), inputs=torch.randn(4, 3))
    hidden = {name for one in report.diagnostics for name in one.hides}
    assert {"middle.weight", "middle.bias"} <= hidden
    assert report.exit_code == 1


@pytest.mark.parametrize("stop", [torch.detach, through_numpy], ids=["mended", "measured by how the score moves"])
def test_what_a_cut_takes_nothing_of_is_whole_for_those_in_between_too(stop):
    report = gradflow.audit(Between(lambda x: stop(0 * x)), inputs=torch.randn(4, 3))
    assert [one for one in report.diagnostics if one.severity != "info"] == []
    assert report.undetermined == ()


def test_more_towers_than_are_looked_into_are_whole_where_one_run_without_all_cuts_shows_it():
    report = gradflow.audit(Towers(*[0.0] * 24), inputs=torch.randn(3, 4))
    assert report.diagnostics == ()
    assert report.undetermined == ()
