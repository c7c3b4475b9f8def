"""What is found for one target is said to be the same for another only where all of it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import gradflow
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help, Repair
from gradflow.diagnose.groups.same_story import story_of
from gradflow.location import SourceSpan
from gradflow.render.words import distinct_diagnostics

LINE = SourceSpan(path="m.py", line=3, column=5, end_line=3, end_column=9, function="f")


def found(target: str, **changes: object) -> Diagnostic:
    one = Diagnostic(
        code="GF405",
        name="zero-multiplier",
        severity="error",
        message=f"the gradient at `{target}` is zero: it dies at `conv2d`",
        location=LINE,
        label="multiplied by `gate`",
        annotations=(Annotation(span=replace(LINE, line=2), label=f"`{target}` is read here"),),
        notes=(f"measured: {0.5 if target == 'a' else 0.125} comes in", f"moved: `{target}.weight`, `{target}[:, 0]`"),
        helps=(Help(text="open it", repair=Repair(description="", verified=True, outcome=f"`{target}` gets 0.01")),),
        module=target,
        hides=(target,),
    )
    return replace(one, **changes)


def test_the_same_but_for_the_target_and_what_was_measured() -> None:
    assert story_of(found("a"), "a") == story_of(found("deep.b"), "deep.b")


def test_a_target_that_is_itself_one_of_the_places() -> None:
    fewer = story_of(found("b", annotations=()), "b")
    assert fewer.is_told_by(story_of(found("a"), "a"))
    assert story_of(found("a"), "a").is_told_by(fewer)


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "GF403"},
        {"name": "saturation"},
        {"severity": "warning"},
        {"location": replace(LINE, line=4)},
        {"message": "the gradient at `b` is zero: it dies at `conv3d`"},
        {"message": "the gradient at `a` is zero: it dies at `conv2d`"},
        {"label": "multiplied by `other`"},
        {"annotations": (Annotation(span=LINE, label="`b` is read here"),)},
        {"notes": ("measured: 0.125 comes in",)},
        {"notes": ("measured: 0.125 comes in", "moved: `b2.weight`, `b[:, 0]`")},
        {"helps": (Help(text="open it"),)},
        {"helps": (Help(text="open it", repair=Repair(description="", verified=False, outcome="`b` gets 0.01")),)},
    ],
)
def test_another_cause_place_factor_or_trial_is_another_story(changes: dict[str, object]) -> None:
    assert not story_of(found("b", **changes), "b").is_told_by(story_of(found("a"), "a"))


class Factors(nn.Module):
    """A product of two factors, both zero or one of them."""

    def __init__(self, first: float, second: float) -> None:
        super().__init__()
        self.base = nn.Linear(6, 3)
        self.a, self.b = nn.Parameter(torch.full((2, 6), first)), nn.Parameter(torch.full((3, 2), second))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + x @ self.a.t() @ self.b.t()


def test_two_factors_that_are_zero_do_not_wait_for_one_and_the_same() -> None:
    report = gradflow.check(Factors(0.0, 0.0), parameter=["a", "b"], inputs=torch.ones(4, 6))
    told = [(one.message, [each.target.name for each in reports]) for one, reports in distinct_diagnostics(report)]
    assert [targets for _, targets in told] == [["a"], ["b"]]
    assert told[0][0] == "the gradient at `a` is zero, as long as `b` is zero"
    assert "as long as `b`" not in told[1][0]


class Branch(nn.Module):
    """A gate that a ``relu`` closes; ``gate`` dies at the ``relu`` and the others where they are multiplied."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.a, self.b, self.out = nn.Linear(6, 1), nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 2)
        nn.init.constant_(self.gate.bias, -50.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x + functional.relu(self.gate(x)) * self.b(self.a(x)))


def test_one_line_at_which_layers_lose_their_gradient_in_two_ways() -> None:
    report = gradflow.check(Branch(), ["gate", "a", "b"], inputs=torch.ones(4, 6))
    told = {tuple(each.target.name for each in reports): one for one, reports in distinct_diagnostics(report)}
    assert set(told) == {("gate",), ("a", "b")}
    assert "it dies at `relu`" in told[("gate",)].message
    assert "it dies at `mul`" in told[("a", "b")].message


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin, self.act = nn.Linear(4, 4), nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.lin(x)).detach()


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.out = nn.ModuleList(Block() for _ in range(2)), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.blocks
        return self.out(first(x) + second(x))


def test_one_line_of_a_class_is_told_once_and_in_no_single_module() -> None:
    report = gradflow.check(Twice(), ["blocks.0.lin", "blocks.0.act"], inputs=torch.ones(2, 4))
    ((one, reports),) = distinct_diagnostics(report)
    assert (one.name, one.module, len(reports)) == ("detach", "blocks.0", 2)
    report = gradflow.check(Twice(), ["blocks.0.lin", "blocks.1.lin"], inputs=torch.ones(2, 4))
    ((one, reports),) = distinct_diagnostics(report)
    assert (one.name, one.module, len(reports)) == ("detach", "", 2)
