"""What is told together in an audit has one cause, and what is said of it holds for all."""

from __future__ import annotations

import torch
from torch import nn

import gradflow


class Experts(nn.Module):
    """Only the experts ``used`` ever run."""

    def __init__(self, *used: int) -> None:
        super().__init__()
        self.experts, self.used = nn.ModuleList(nn.Linear(4, 4) for _ in range(5)), used

    def forward(self, x):
        for number, expert in enumerate(self.experts):
            if number in self.used:
                x = expert(x)
        return x


def test_experts_that_did_not_run_are_named_and_are_behind_no_cut() -> None:
    report = gradflow.audit(Experts(1, 3), inputs=torch.randn(3, 4))
    (found,) = report.diagnostics
    assert "6 of 10 parameters get no gradient: `experts.0`, `experts.2` and `experts.4` never ran" in found.message
    assert not any("another cut" in note for note in found.notes)
    assert "on `model.experts[0]`, `model.experts[2]` and `model.experts[4]`" in found.helps[-1].text


class Cut(nn.Module):
    """``first`` is behind two cuts, ``second`` behind one of them."""

    def __init__(self, is_first_cut: bool) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.is_first_cut = is_first_cut

    def forward(self, x):
        x = self.first(x)
        if self.is_first_cut:
            x = x.detach()
        return self.third(self.second(x).detach())


def test_what_is_behind_another_cut_as_well_is_counted() -> None:
    report = gradflow.audit(Cut(is_first_cut=True), inputs=torch.randn(3, 4))
    (found,) = (one for one in report.diagnostics if "second.weight" in one.hides)
    assert "4 of 6 parameters get no gradient" in found.message
    assert any(note.startswith("2 of them are behind another cut as well") for note in found.notes)


def test_what_is_behind_one_cut_only_is_not() -> None:
    report = gradflow.audit(Cut(is_first_cut=False), inputs=torch.randn(3, 4))
    (found,) = report.diagnostics
    assert set(found.hides) == {f"{layer}.{kind}" for layer in ("first", "second") for kind in ("weight", "bias")}
    assert not any("another cut" in note for note in found.notes)


class Dead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 2)
        nn.init.constant_(self.first.bias, -100.0)

    def forward(self, x):
        return self.last(self.first(x).relu())


def test_a_weight_behind_the_flat_place_does_not_die_there() -> None:
    report = gradflow.audit(Dead(), inputs=torch.randn(3, 4))
    told = {found.hides: found.message for found in report.diagnostics if found.name == "saturation"}
    assert "it dies at `relu`" in told["first.weight", "first.bias"]
    assert "it dies at `linear`, which multiplies it by the zeros of `relu`" in told["last.weight",]
    assert len(told) == 2
