"""The networks in fixtures/audit: the audit must tell each mistake by its cause and line, and be silent without one.

``# MARK: name`` in the fixture stands on the line that is to blame.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

import gradflow
from gradflow.cli import main
from gradflow.errors import GradflowError

FIXTURE = Path(__file__).parents[2] / "fixtures" / "audit" / "mistakes.py"
STEM = {"stem.0.weight", "stem.0.bias", "stem.1.weight", "stem.1.bias"}
BODY = {"body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias"}
HEAD = {"auxiliary.weight", "auxiliary.bias"}


@pytest.fixture(scope="module")
def mistakes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit_mistakes", FIXTURE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def line_of(mark: str) -> int:
    (number,) = [
        number
        for number, line in enumerate(FIXTURE.read_text(encoding="utf-8").splitlines(), start=1)
        if line.endswith(f"# MARK: {mark}")
    ]
    return number


def images() -> torch.Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def audit(model: nn.Module, **options: object) -> gradflow.AuditReport:
    torch.manual_seed(0)
    return gradflow.audit(model.eval(), inputs=images(), **options)


@pytest.mark.parametrize(
    ("name", "cause", "mark", "severity", "members"),
    [
        ("DetachInTheMiddle", "detach", "cut", "error", STEM),
        ("NeverCalledHead", "layer-not-called", "idle", "error", HEAD),
        ("DiscardedHead", "output-discarded", "discarded", "error", HEAD),
        ("UnreadParameter", "layer-not-called", "unread", "error", {"temperature"}),
        ("ThroughNumpy", "numpy-roundtrip", "numpy", "error", STEM),
        ("SkipDetached", "partial-detach", "skip", "error", STEM),
        ("RootOfZero", "nan-singularity", "nan", "error", STEM | BODY),
        ("Rounded", "zero-derivative-op", "rounded", "error", STEM | BODY),
        ("ZeroInitialised", "zero-multiplier", "gate", "info", BODY),
        ("BareTensor", "unregistered-params", "bare", "error", {"scale"}),
    ],
)
def test_each_mistake_is_told_by_its_cause_and_line(mistakes, name, cause, mark, severity, members) -> None:
    report = audit(getattr(mistakes, name)())
    first = report.diagnostics[0]
    assert (first.name, first.severity) == (cause, severity)
    assert first.location is not None
    assert (first.location.path, first.location.line) == (str(FIXTURE), line_of(mark))
    assert set(first.hides) == members
    assert report.exit_code == (1 if severity == "error" else 0)
    explained = {one.name for one in report.parameters if first.code in one.codes}
    assert explained == members


@pytest.mark.parametrize("name", ["Net", "TwoOutputs", "HiddenTeacher", "LayersInAListAndRegistered"])
def test_nothing_is_said_of_healthy_networks(mistakes, name) -> None:
    report = audit(getattr(mistakes, name)())
    assert report.diagnostics == ()
    assert report.unused == ()
    assert report.exit_code == 0
    assert {one.state for one in report.parameters} == {"gradient"}
    assert report.environment.forward_count == 1


def test_unregistered_layers_are_told_with_the_container_and_its_remedy(mistakes) -> None:
    report = audit(mistakes.LayersInAList())
    (found,) = report.diagnostics
    assert (found.code, found.location.line) == ("GF304", line_of("unregistered"))
    assert found.hides == ("mixers.0.weight", "mixers.0.bias", "mixers.1.weight", "mixers.1.bias")
    assert "nn.ModuleList" in found.helps[0].text
    assert [one.name for one in report.parameters if not one.is_registered] == list(found.hides)
    assert not any(name.startswith("mixers") for name in report.unused)


def test_two_cuts_are_two_findings_and_each_line_is_told_once(mistakes) -> None:
    report = audit(mistakes.TwoMistakes())
    found = {(one.name, one.location.line): set(one.hides) for one in report.diagnostics}
    assert found == {
        ("no-grad", line_of("first")): STEM,
        ("detach", line_of("second")): STEM | BODY,
        ("layer-not-called", found_line(report, "layer-not-called")): HEAD,
    }
    assert set(report.unused) == STEM | BODY | HEAD


def found_line(report: gradflow.AuditReport, name: str) -> int:
    return next(one.location.line for one in report.diagnostics if one.name == name)


def test_the_trial_repair_is_reported(mistakes) -> None:
    (found,) = audit(mistakes.DetachInTheMiddle()).diagnostics
    assert found.helps[0].repair.verified is True
    assert "model.stem.requires_grad_(False)" in found.helps[-1].text


def test_frozen_parameters_are_no_fault(mistakes) -> None:
    report = audit(mistakes.Frozen())
    (found,) = report.diagnostics
    assert (found.name, found.severity, set(found.hides)) == ("not-trainable", "info", STEM)
    assert {one.name for one in report.frozen} == STEM
    assert report.exit_code == 0


def test_tied_weights_are_one_parameter_with_two_names(mistakes) -> None:
    report = gradflow.audit(mistakes.TiedWeights(), inputs=torch.arange(6).reshape(2, 3))
    assert report.exit_code == 0
    assert [one.name for one in report.parameters] == ["embedding.weight", "mix.weight", "mix.bias"]
    assert report.parameters[0].shared_names == ("output.weight",)


def test_what_runs_in_training_only_is_a_warning_in_eval_mode(mistakes) -> None:
    report = audit(mistakes.OnlyInTraining())
    (found,) = report.diagnostics
    assert (found.name, found.severity, set(found.hides)) == ("layer-not-called", "warning", HEAD)
    assert any("tried: in train mode" in note for note in found.notes)
    assert report.exit_code == 0
    trained = gradflow.audit(mistakes.OnlyInTraining().train(), inputs=images())
    assert trained.diagnostics == ()


def test_vanishing_gradients_are_measured(mistakes) -> None:
    torch.manual_seed(0)
    report = gradflow.audit(mistakes.deep_sigmoids(), inputs=torch.randn(4, 16))
    (found,) = report.diagnostics
    assert (found.name, found.severity) == ("vanishing-gradient", "warning")
    assert report.depth.ratio < 1e-10
    assert report.exit_code == 0


def test_dead_units_are_counted(mistakes) -> None:
    torch.manual_seed(0)
    report = gradflow.audit(mistakes.dead_units(), inputs=torch.randn(4, 16))
    (activity,) = report.activities
    assert (activity.module, activity.unit_count, activity.dead_count, activity.place_count) == ("1", 64, 64, 4)
    assert {one.state for one in report.parameters if one.module == "0"} == {"zero"}
    assert any(one.name == "saturation" and one.severity == "warning" for one in report.diagnostics)


def test_units_that_get_nothing_are_not_called_dead() -> None:
    model = nn.Sequential(nn.Linear(4, 64, bias=False), nn.ReLU(), nn.Linear(64, 2))
    report = gradflow.audit(model, inputs=torch.zeros(3, 4))
    assert report.activities[0].dead_count == 0


def test_a_criterion_is_no_loss_of_the_output_alone(mistakes) -> None:
    with pytest.raises(GradflowError) as caught:
        audit(mistakes.Net(), loss=nn.CrossEntropyLoss())
    assert caught.value.message == "the loss `CrossEntropyLoss` raised"
    assert "criterion(output, target)" in caught.value.hint


def test_the_loss_may_take_the_batch(mistakes) -> None:
    report = audit(mistakes.Net(), loss=mistakes.squared_error)
    assert report.score.description == "squared_error(output, batch)"
    assert report.exit_code == 0


def test_the_gradients_are_those_of_backward(mistakes) -> None:
    torch.manual_seed(0)
    model = mistakes.Net().eval()
    report = gradflow.audit(model, inputs=images(), loss=mistakes.cross_entropy)
    assert all(parameter.grad is None for parameter in model.parameters())
    loss = mistakes.cross_entropy(model(images()))
    loss.backward()
    assert report.score.value == pytest.approx(float(loss.detach()))
    for one in report.parameters:
        assert one.l2_norm == pytest.approx(float(model.get_parameter(one.name).grad.norm()), rel=1e-5)


def test_a_loss_that_reads_one_output_leaves_the_other_head_without_gradient(mistakes) -> None:
    class TwoHeads(mistakes.OnlyInTraining):
        pass

    report = gradflow.audit(TwoHeads().train(), inputs=images(), output="0")
    assert set(report.unused) == HEAD
    assert report.diagnostics[0].name == "output-discarded"


def test_the_default_loss_sees_through_a_softmax() -> None:
    # a plain sum of a softmax is constant, and its gradient zero
    model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    report = gradflow.audit(model, inputs=torch.randn(2, 4))
    assert {one.state for one in report.parameters} == {"gradient"}


def test_a_loss_with_three_arguments_is_refused(mistakes) -> None:
    with pytest.raises(gradflow.GradflowError, match="wants 3 arguments"):
        gradflow.audit(mistakes.Net(), inputs=images(), loss=lambda output, target, weights: output.sum())


def test_the_model_is_left_as_it_was(mistakes) -> None:
    torch.manual_seed(0)
    model = mistakes.ZeroInitialised().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    versions = [parameter._version for parameter in model.parameters()]
    random = torch.get_rng_state()
    gradflow.audit(model, inputs=images())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert versions == [parameter._version for parameter in model.parameters()]
    assert torch.equal(random, torch.get_rng_state())
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_in_place_change_that_stops_backward_is_one_finding() -> None:
    class Breaks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.exp(self.first(x))
            y.add_(1.0)
            return y

    report = gradflow.audit(Breaks(), inputs=torch.randn(2, 4))
    (found,) = report.diagnostics
    assert found.name == "inplace-modification"
    assert set(found.hides) == {"first.weight", "first.bias"}
    assert report.exit_code == 1


def test_layers_made_in_forward_are_told_where() -> None:
    class Forgets(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.Linear(4, 2)(self.first(x))

    report = gradflow.audit(Forgets(), inputs=torch.randn(2, 4))
    (found,) = report.diagnostics
    assert (found.name, found.severity) == ("unregistered-params", "warning")
    assert found.message.startswith("2 parameters are made in the forward")
    assert found.location is not None
    assert found.location.function.endswith("Forgets.forward")


def test_layers_inside_another_object_are_told_where_they_are_read() -> None:
    class Holder:
        def __init__(self) -> None:
            self.layer = nn.Linear(4, 4, bias=False)

    class Hides(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.holder = Holder()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.holder.layer(self.first(x))

    (found,) = gradflow.audit(Hides(), inputs=torch.randn(2, 4)).diagnostics
    assert (found.name, found.severity) == ("unregistered-params", "warning")
    assert found.message.startswith("a tensor outside the model takes part")


class LazyAside(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.aside = nn.LazyLinear(2), nn.LazyLinear(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.used(x)


def test_parameters_without_values_are_refused() -> None:
    with pytest.raises(gradflow.GradflowError, match="on the `meta` device"):
        gradflow.audit(nn.Linear(4, 2, device="meta"), inputs=torch.randn(2, 4))


def test_a_lazy_layer_that_does_not_run_is_told_and_the_others_are_answered() -> None:
    model = LazyAside()
    report = gradflow.audit(model, inputs=torch.randn(2, 4))
    assert {one.name: one.state for one in report.parameters} == {
        "used.weight": "gradient", "used.bias": "gradient", "aside.weight": "none", "aside.bias": "none",
    }  # fmt: skip
    (found,) = report.diagnostics
    assert (found.module, set(found.hides)) == ("aside", {"aside.weight", "aside.bias"})
    assert any("no shape yet" in text and "`aside.weight`" in text for text in report.assumptions)
    assert all(nn.parameter.is_lazy(parameter) for parameter in model.parameters())


def test_lazy_layers_get_their_parameters_in_a_copy() -> None:
    model = nn.Sequential(nn.LazyLinear(3), nn.Tanh(), nn.LazyLinear(2))
    report = gradflow.audit(model, inputs=torch.randn(2, 4))
    assert [one.shape for one in report.parameters] == [(3, 4), (3,), (2, 3), (2,)]
    assert {one.state for one in report.parameters} == {"gradient"}
    assert any("a copy, in which the lazy layers have run once" in one for one in report.assumptions)
    assert nn.parameter.is_lazy(model[0].weight)


def test_a_model_without_parameters_is_no_fault() -> None:
    report = gradflow.audit(nn.ReLU(), inputs=torch.randn(2, 4))
    assert report.exit_code == 0
    assert str(report).startswith("no parameters")


def test_command_line_json_and_exit_status(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shape = ["--input-shape", "2,3,8,8"]
    assert main(["audit", f"{FIXTURE}:NeverCalledHead", *shape, "--format", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["kind"] == "audit"
    assert report["unused"] == ["auxiliary.weight", "auxiliary.bias"]
    assert report["diagnostics"][0]["location"]["line"] == line_of("idle")
    loss = ["--loss", f"{FIXTURE}:squared_error"]
    written = tmp_path / "audit.md"
    assert main(["audit", f"{FIXTURE}:Net", *shape, *loss, "--output", str(written)]) == 0
    assert "all 10 trainable parameters get a gradient from squared" in written.read_text(encoding="utf-8")
    assert main(["audit", f"{FIXTURE}:Net", *shape, "--loss", f"{FIXTURE}:nothing"]) == 2


def test_the_command_line_knows_where_parameters_were_frozen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", f"{FIXTURE}:Frozen", "--input-shape", "2,3,8,8", "--format", "concise"]) == 0
    assert f"mistakes.py:{line_of('frozen')}:9: info GF110" in capsys.readouterr().out


class Ablated(nn.Module):
    """A hook on one branch multiplies its gradient; by nothing where ``factor`` is zero."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.one, self.other, self.head = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 2)
        self.factor = factor

    def forward(self, x):
        h = self.other(x).tanh()
        if h.requires_grad:
            h.register_hook(lambda gradient: gradient * self.factor)
        return self.head(self.one(x).tanh() + h)


def test_zeros_of_unknown_origin_are_not_passed_over() -> None:
    report = gradflow.audit(Ablated(0.0), inputs=torch.randn(3, 4))
    (found,) = report.diagnostics
    assert set(found.hides) == {"other.weight", "other.bias"}
    assert found.severity == "warning"
    assert "2 of 6 parameters get a gradient of exactly zero" in found.message
    assert gradflow.audit(Ablated(1.0), inputs=torch.randn(3, 4)).diagnostics == ()


def test_verify_tells_a_zero_that_is_no_derivative_from_one_that_is() -> None:
    hooked = gradflow.check(Ablated(0.0), "other", inputs=torch.randn(3, 4), verify=True)
    assert [one.severity for one in hooked.diagnostics if one.name == "wrong-derivative"] == ["error"]
    dead = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    nn.init.constant_(dead[0].bias, -100.0)
    report = gradflow.check(dead, "0", inputs=torch.randn(3, 4), verify=True)
    (told,) = (one for one in report.diagnostics if one.name == "verified-derivative")
    assert told.message.startswith("verified: ")
