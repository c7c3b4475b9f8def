"""Each assertion passes on a sound model, and fails on a broken one with a message that names the line."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from gradflow import Report, testing
from gradflow.audit_report import AuditReport
from gradflow.current_test import CurrentTest, running
from gradflow.errors import GradflowError, LayerNotFoundError, UsageError

IMAGES = torch.randn(3, 3, 10, 10, generator=torch.Generator().manual_seed(3))
VECTORS = torch.randn(3, 6, generator=torch.Generator().manual_seed(4))

Build = Callable[[ModuleType, bool], Any]


def _net(mistake: str) -> Build:
    return lambda models, broken: models.Net(mistake if broken else "")


CASES: dict[str, tuple[Build, Callable[[Any], Any]]] = {
    "connected": (_net("detached"), lambda model: testing.assert_connected(model, "stem", IMAGES)),
    "connected in part": (_net("skip detached"), lambda model: testing.assert_connected(model, "stem", IMAGES)),
    "disconnected": (
        lambda models, broken: models.Teacher(leaks=broken),
        lambda model: testing.assert_disconnected(model, "teacher", VECTORS),
    ),
    "all parameters learn": (
        _net("output discarded"),
        lambda model: testing.assert_all_parameters_learn(model, IMAGES),
    ),
    "frozen": (
        lambda models, broken: models.Teacher(leaks=broken),
        lambda model: testing.assert_frozen(model, "teacher", VECTORS),
    ),
    "skip": (_net("skip detached"), lambda model: testing.assert_skip_carries_gradient(model, "block", IMAGES)),
    "weak skip": (_net("skip weak"), lambda model: testing.assert_skip_carries_gradient(model, "block", IMAGES)),
    "no skip": (_net("no skip"), lambda model: testing.assert_skip_carries_gradient(model, "block", IMAGES)),
    "gradient matches": (
        lambda models, broken: models.WrongFormula() if broken else models.Net(),
        lambda model: testing.assert_gradient_matches(model, "block", IMAGES),
    ),
    "batch leakage": (_net("batch norm"), lambda model: testing.assert_no_batch_leakage(model, IMAGES)),
    "batch leakage in code": (
        _net("centred on the batch"),
        lambda model: testing.assert_no_batch_leakage(model, IMAGES),
    ),
    "healthy gradients": (
        lambda models, broken: models.Deep(nn.Sigmoid if broken else nn.Tanh),
        lambda model: testing.assert_healthy_gradients(model, torch.ones(2, 8)),
    ),
}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("name", CASES)
def test_passes_on_a_sound_model(name: str, models: ModuleType) -> None:
    build, check = CASES[name]
    assert isinstance(check(build(models, False)), (Report, AuditReport))


@pytest.mark.parametrize("name", CASES)
def test_says_what_is_wrong_with_a_broken_one(
    name: str, models: ModuleType, snapshot_message: Callable[[str, AssertionError], None]
) -> None:
    build, check = CASES[name]
    with pytest.raises(testing.GradientAssertionError) as caught:
        check(build(models, True))
    snapshot_message(name.replace(" ", "_"), caught.value)
    assert isinstance(caught.value.report, (Report, AuditReport))
    assert "\n" not in caught.value.reason


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("broken", [False, True])
def test_leaves_no_trace(name: str, broken: bool, models: ModuleType) -> None:
    """A model trains to bit-identical weights, whether it was tested on the way or not."""
    build, check = CASES[name]
    first = build(models, broken)
    second = copy.deepcopy(first)
    example = {"Net": IMAGES, "WrongFormula": IMAGES, "Deep": torch.ones(2, 8)}.get(type(first).__name__, VECTORS)
    for model, is_checked in ((first, True), (second, False)):
        torch.manual_seed(1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            model(nn.functional.dropout(example)).square().mean().backward()
            if is_checked:
                try:
                    check(model)
                except testing.GradientAssertionError:
                    assert broken
            optimizer.step()
    assert all(torch.equal(one, second.state_dict()[name]) for name, one in first.state_dict().items())


def test_a_report_comes_back(models: ModuleType) -> None:
    report = testing.assert_connected(models.Net(), ["stem", "block"], IMAGES)
    assert [one.target.name for one in report.reports] == ["stem", "block"]
    audit = testing.assert_all_parameters_learn(models.Net(), IMAGES)
    assert len(audit.trainable) == 12


def test_exceptions_hold_for_what_they_name(models: ModuleType) -> None:
    broken = models.Net("output discarded")
    testing.assert_all_parameters_learn(broken, IMAGES, except_="spare")
    testing.assert_all_parameters_learn(broken, IMAGES, except_=["spare.w*", "spare.bias"])
    with pytest.raises(testing.GradientAssertionError):
        testing.assert_all_parameters_learn(broken, IMAGES, except_="spare.weight")
    with pytest.raises(UsageError, match="no parameter matches `spar`"):
        testing.assert_all_parameters_learn(broken, IMAGES, except_="spar")


def test_zeros_of_the_initialisation_pass(models: ModuleType) -> None:
    class ZeroInitialised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(6, 6)
            self.scale = nn.Parameter(torch.zeros(6))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.scale * self.inner(x)

    testing.assert_all_parameters_learn(ZeroInitialised(), VECTORS)


def test_a_share_can_be_asked_of_any_size(models: ModuleType) -> None:
    testing.assert_skip_carries_gradient(models.Net("skip weak"), "block", IMAGES, at_least=-0.5)
    with pytest.raises(testing.GradientAssertionError, match="carries"):
        testing.assert_skip_carries_gradient(models.Net(), "block", IMAGES, at_least=1.1)


def test_a_block_can_be_tested_alone(models: ModuleType) -> None:
    features = torch.randn(1, 4, 6, 6)
    testing.assert_skip_carries_gradient(models.Block(), "", features)
    with pytest.raises(testing.GradientAssertionError, match="partial-detach"):
        testing.assert_skip_carries_gradient(models.Block("skip detached"), "", features)


def test_what_no_rule_finds_is_measured(models: ModuleType) -> None:
    with running(CurrentTest(ignore=("custom-function",))):
        testing.assert_connected(models.WrongFormula(), "block", IMAGES)
        with pytest.raises(testing.GradientAssertionError, match=r"is not the derivative of .*: it is off by"):
            testing.assert_gradient_matches(models.WrongFormula(), "block", IMAGES)


def test_batches_of_indices_are_told_apart() -> None:
    class Mixing(nn.Module):
        def __init__(self, *, mixes: bool) -> None:
            super().__init__()
            self.embedding = nn.Embedding(5, 4)
            self.mixes = mixes

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            embedded = self.embedding(tokens)
            return embedded.flip(0) * embedded if self.mixes else embedded

    tokens = torch.tensor([[1, 2], [3, 4]])
    testing.assert_no_batch_leakage(Mixing(mixes=False), tokens)
    with pytest.raises(testing.GradientAssertionError, match=r"sample \d has a gradient in the input of sample \d"):
        testing.assert_no_batch_leakage(Mixing(mixes=True), tokens)
    with pytest.raises(UsageError, match="two or more samples"):
        testing.assert_no_batch_leakage(Mixing(mixes=False), tokens[:1])


def test_a_request_that_cannot_be_carried_out_is_no_failure(models: ModuleType) -> None:
    with pytest.raises(LayerNotFoundError) as caught:
        testing.assert_connected(models.Net(), "sten", IMAGES)
    assert not isinstance(caught.value, AssertionError)
    with pytest.raises(GradflowError, match="ratio above 1"):
        testing.assert_healthy_gradients(models.Net(), IMAGES, at_most=0.5)


def test_no_frame_of_torch_is_in_the_traceback(models: ModuleType) -> None:
    for inputs, kind in ((IMAGES, testing.GradientAssertionError), (VECTORS, GradflowError)):
        with pytest.raises(kind) as caught:
            testing.assert_connected(models.Net("detached"), "stem", inputs)
        assert [entry.path.name for entry in caught.traceback] == ["test_assertions.py", "asserting.py"]
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_the_running_test_chooses_the_findings_that_count(models: ModuleType) -> None:
    broken = models.Net("skip detached")
    with running(CurrentTest(ignore=("GF401",))) as test:
        report = testing.assert_connected(broken, "stem", IMAGES)
        assert report.verdict == "wrong"
    assert [outcome.assertion for outcome in test.outcomes] == ["assert_connected"]
    with running(CurrentTest(select=("detach",))):
        testing.assert_connected(broken, "stem", IMAGES)
    with running(CurrentTest(select=("GF4",))), pytest.raises(testing.GradientAssertionError):
        testing.assert_connected(broken, "stem", IMAGES)


def test_every_assertion_is_there_by_name() -> None:
    for name in testing.__all__:
        assert getattr(testing, name).__name__ == name
    with pytest.raises(AttributeError, match="assert_nothing"):
        _ = testing.assert_nothing
