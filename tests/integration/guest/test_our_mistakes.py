"""What fails in gradflow's own code is told as gradflow's mistake, whatever the model does about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gradflow
from gradflow import checking
from gradflow.cli import main
from gradflow.errors import GradflowError, InternalError, ModelRaisedError
from gradflow.probe.backward_pass import real_backward
from gradflow.record.modules import activations, following, layer_calls
from gradflow.record.operations.reading import Reading
from gradflow.record.operations.results import Results
from gradflow.record.recorded import RecordedOperations
from gradflow.record.state import keeper


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2)
        self.runs = 0

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        h = h + torch.from_numpy(h.relu_().detach().numpy())
        out: Tensor = self.b(h)
        return out


class Forgiving(Net):
    """A model that goes on whatever its parts raise."""

    def forward(self, x: Tensor) -> Tensor:
        try:
            x = self.a(x).relu_()
        except Exception:  # noqa: BLE001  (this is what it is about)
            x = x + 1
        out: Tensor = self.b(x)
        return out


class Fails(nn.Module):
    def __init__(self, how: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.how = nn.Linear(4, 4), how

    def forward(self, x: Tensor) -> Tensor:
        return self.how(self.a(x))


def fail(*_: Any, **__: Any) -> Any:
    raise KeyError("one and the same function")


def descend(x: Tensor) -> Tensor:
    return descend(x + 1)


def of_wrong_shape(x: Tensor) -> Tensor:
    return x @ torch.ones(9, 9)


def not_an_array(_: Tensor) -> Tensor:
    return torch.from_numpy("text")  # type: ignore[arg-type]


class InFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return of_wrong_shape(x)


VERBS: dict[str, Callable[[nn.Module], object]] = {
    "check": lambda model: gradflow.check(model, "a", inputs=torch.ones(2, 4)),
    "audit": lambda model: gradflow.audit(model, inputs=torch.ones(2, 4)),
}
CALLBACKS = {
    "module begins": (following.ModuleFollower, "enter"),
    "module ends": (following.ModuleFollower, "leave"),
    "before an operation": (Reading, "read"),
    "after an operation": (Results, "add"),
    "an operation": (RecordedOperations, "run"),
    "a write": (keeper.StateKeeper, "before_write"),
}


@pytest.mark.parametrize("model", [Net, Forgiving])
@pytest.mark.parametrize("callback", CALLBACKS)
@pytest.mark.parametrize("verb", VERBS)
def test_a_callback_that_fails_is_ours(
    model: type[nn.Module], callback: str, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name = CALLBACKS[callback]
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(InternalError, match="a mistake of gradflow"):
        VERBS[verb](model())


@pytest.mark.parametrize(
    ("owner", "name"),
    [(layer_calls.LayerCalls, "entered"), (layer_calls.LayerCalls, "left"), (checking, "diagnose")],
)
def test_so_is_what_fails_before_and_after_the_run(owner: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(InternalError):
        gradflow.check(Net(), inputs=torch.ones(2, 4))


@pytest.mark.parametrize("name", ["entered", "left"])
def test_so_is_what_fails_in_an_observer_of_a_target(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activations.TargetActivations, name, fail)
    with pytest.raises(InternalError):
        gradflow.check(Net(), "a", inputs=torch.ones(2, 4))


@pytest.mark.parametrize("layer", ["a", "auto"])
@pytest.mark.parametrize("how", [fail, descend, of_wrong_shape, not_an_array, InFunction.apply])
def test_what_the_model_raises_is_the_models(how: Callable[[Tensor], Tensor], layer: str) -> None:
    with pytest.raises(ModelRaisedError, match="the model raised"):
        gradflow.check(Fails(how), layer, inputs=torch.ones(2, 4))


def test_the_same_function_failing_for_both_is_told_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelRaisedError):
        gradflow.check(Fails(fail), "a", inputs=torch.ones(2, 4))
    monkeypatch.setattr(Reading, "read", fail)
    with pytest.raises(InternalError):
        gradflow.check(Net(), "a", inputs=torch.ones(2, 4))


def test_each_operation_runs_once_when_its_notes_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []

    class Counts(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            runs.append(1)
            return x * 2

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return gradients[0] * 2

    monkeypatch.setattr(Results, "add", fail)
    with pytest.raises(InternalError):
        gradflow.check(Fails(Counts.apply), "a", inputs=torch.ones(2, 4))
    assert runs == [1]


class RaisesInBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return fail()


def test_a_backward_that_raises_is_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gradflow.check(Fails(RaisesInBackward.apply), "a", inputs=torch.ones(2, 4)).verdict == "error"
    monkeypatch.setattr(real_backward, "run_theirs", fail)
    with pytest.raises(InternalError):
        gradflow.check(Net(), "a", inputs=torch.ones(2, 4))


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_what_ends_a_program_ends_it(error: BaseException) -> None:
    def end(_: Tensor) -> Tensor:
        raise error

    with pytest.raises(type(error)):
        gradflow.check(Fails(end), "a", inputs=torch.ones(2, 4))


def test_no_room_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Results, "add", no_memory)
    with pytest.raises(GradflowError, match="not enough memory") as caught:
        gradflow.check(Net(), "a", inputs=torch.ones(2, 4))
    assert not isinstance(caught.value, InternalError)


def test_the_command_line_says_so_and_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Results, "add", fail)
    assert main(["check", "fixtures/broken/detached_neck.py:build", "--layer", "backbone.layer4"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: a mistake of gradflow, not of your code: KeyError")
    assert "the model raised" not in said
    assert "Traceback" not in said
