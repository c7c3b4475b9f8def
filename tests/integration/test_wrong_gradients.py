"""Gradients that arrive and are wrong: found, measured and pointed at; and what only looks like one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

import gradflow
from gradflow.report import Report

FIXTURES = Path(__file__).parents[2] / "fixtures" / "wrong"

pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"wrong_{name}", FIXTURES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


formula = load("formula")
side_way = load("side_way")


def check(model: torch.nn.Module, *, layer: str = "body", parameter: str = "", verify: bool = False) -> Report:
    # built anew with the same weights, whatever ran before
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.reset_parameters()
    inputs = torch.linspace(-1, 2, 12).reshape(2, 6)
    if parameter:
        return gradflow.check(model, parameter=parameter, inputs=inputs, verify=verify)
    return gradflow.check(model, layer, inputs=inputs, verify=verify)


def marked(module: ModuleType, mark: str) -> int:
    """The line that says ``# expect: mark``."""
    lines = Path(str(module.__file__)).read_text(encoding="utf-8").splitlines()
    (number,) = [number for number, line in enumerate(lines, start=1) if line.endswith(f"# expect: {mark}")]
    return number


def lines_of_errors(report: Report) -> list[int]:
    return [d.location.line for d in report.diagnostics if d.severity == "error" and d.location is not None]


@pytest.mark.parametrize(
    ("function", "mark"), [("TanhNotSquared", "wrong formula"), ("ScaledTheOtherWayRound", "wrong input")]
)
def test_a_wrong_formula_is_found_at_its_line(function, mark):
    report = check(formula.Net(getattr(formula, function)))
    assert report.verdict == "wrong", str(report)
    first = report.diagnostics[0]
    assert (first.name, first.severity) == ("custom-function", "error")
    assert lines_of_errors(report) == [marked(formula, mark)]
    assert "relative L2 error" in first.notes[0]
    assert report.environment.forward_count == 2


@pytest.mark.parametrize("function", ["Tanh", "Scaled"])
def test_a_right_formula_is_not_mentioned(function):
    report = check(formula.Net(getattr(formula, function)))
    assert report.verdict == "connected", str(report)
    assert report.diagnostics == ()


def test_a_wrong_formula_for_another_input_does_not_matter():
    # what flows to the weight is right, though what flows to the layer is not
    assert check(formula.Net(formula.ScaledTheOtherWayRound), parameter="weight").verdict == "connected"


@pytest.mark.parametrize(
    ("function", "says"), [("Rounded", "straight-through estimator"), ("Reversed", "gradient reversal")]
)
def test_what_is_meant_is_named_and_stays_connected(function, says):
    report = check(formula.Net(getattr(formula, function)))
    assert report.verdict == "connected", str(report)
    (only,) = report.diagnostics
    assert only.severity == "info"
    assert only.message.startswith(says)


@pytest.mark.parametrize(
    ("model", "marks"),
    [("Gated", ["gate"]), ("GatedByNumpy", ["numpy"]), ("Normalised", ["norm"]), ("Standardised", ["mean", "spread"])],
)
def test_a_number_that_comes_back_on_a_side_way_makes_the_gradient_wrong(model, marks):
    report = check(getattr(side_way, model)())
    assert report.verdict == "wrong", str(report)
    assert {d.name for d in report.diagnostics} == {"partial-detach"}
    assert sorted(lines_of_errors(report)) == [marked(side_way, mark) for mark in marks]


@pytest.mark.parametrize("model", ["Logged", "Decided"])
def test_a_number_that_is_only_looked_at_costs_one_forward_and_no_word(model):
    report = check(getattr(side_way, model)())
    assert (report.verdict, report.diagnostics, report.undetermined) == ("connected", (), ())
    assert report.environment.forward_count == 2


def test_without_such_numbers_nothing_runs_again():
    assert check(side_way.GatedByTensor()).environment.forward_count == 1


def test_verify_says_that_all_is_well_and_what_it_cost():
    report = check(side_way.GatedByTensor(), verify=True)
    assert report.verdict == "connected"
    (only,) = report.diagnostics
    assert (only.name, only.severity) == ("verified-derivative", "info")
    assert report.environment.forward_count == 6
    assert "5 more forward passes" in only.notes[0]


def test_verify_finds_what_no_rule_knows_and_between_which_modules():
    report = check(side_way.Hooked(), verify=True)
    assert report.verdict == "wrong"
    first = report.diagnostics[0]
    assert (first.name, first.severity) == ("wrong-derivative", "error")
    assert any("wrong still at the output of `body`, and right at that of `head`" in note for note in first.notes)
    assert check(side_way.Hooked()).verdict == "connected"


def test_verify_confirms_what_was_found_before():
    report = check(side_way.Gated(), verify=True)
    assert report.verdict == "wrong"
    assert [(d.name, d.severity) for d in report.diagnostics] == [
        ("partial-detach", "error"),
        ("wrong-derivative", "info"),
    ]


def test_verify_leaves_a_straight_through_estimator_alone():
    report = check(formula.Net(formula.Rounded), verify=True)
    assert report.verdict == "connected"
    assert all(d.severity == "info" for d in report.diagnostics)


def test_verify_of_a_parameter():
    assert check(side_way.GatedByTensor(), parameter="body.weight", verify=True).verdict == "connected"
    assert check(side_way.Hooked(), parameter="body.weight", verify=True).verdict == "wrong"


class KinksAndNoise(torch.nn.Module):
    """What makes difference quotients lie: kinks, ties, random masks, batch statistics; and a constant in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Conv2d(1, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4)
        self.head = torch.nn.Linear(4, 3)
        self.constant = torch.tensor([0.5, 1.0, 1.5, 2.0])  # a plain attribute in float32

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.norm(self.body(x)))
        h = torch.nn.functional.max_pool2d(torch.nn.functional.relu6(h), 2)
        h = torch.nn.functional.dropout(h, 0.3, self.training) * self.constant.view(1, 4, 1, 1)
        return self.head(h.float().mean((2, 3)) + torch.zeros(4))


@pytest.mark.parametrize("train", [True, False])
def test_verify_raises_no_false_alarm_at_kinks_dropout_and_batch_norm(train):
    torch.manual_seed(0)
    model = KinksAndNoise().train(train)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    report = gradflow.check(model, "body", inputs=torch.rand(2, 1, 12, 12).round(decimals=1), verify=True)
    assert report.verdict == "connected", str(report)
    assert report.diagnostics[0].message.startswith("verified"), str(report)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.get_default_dtype() == torch.float32


def test_what_cannot_run_in_float64_is_said():
    class SingleOnly(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = torch.nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.dtype != torch.float32:
                raise TypeError("float32 only")
            return self.body(x)

    report = gradflow.check(SingleOnly(), "body", inputs=torch.rand(2, 4), verify=True)
    assert report.verdict == "connected"
    (only,) = report.diagnostics
    assert only.message == "the gradient at `body` could not be verified"
    assert "float32 only" in only.notes[0]
