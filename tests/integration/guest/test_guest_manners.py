"""What a watched program must not notice: compiled hooks, hooks that are gone, its own caught errors, its signals."""

from __future__ import annotations

import gc
import signal
import weakref

import pytest
import torch
from torch import nn

import gradflow
from gradflow.record.conduct.aside import Aside
from gradflow.record.conduct.signal_handlers import is_of_signal_handler
from gradflow.record.operations.results import Results


@pytest.mark.filterwarnings("ignore")
def test_the_hooks_of_a_compiled_model_run():
    def outputs():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        model[0].register_forward_hook(lambda module, inputs, output: output * 1.5)
        model[1].register_full_backward_hook(lambda module, given, wanted: (given[0] * 2,))
        compiled = torch.compile(model, backend="eager")
        found = compiled(torch.ones(2, 4)).sum()
        found.backward()
        return found.item(), model[0].weight.grad.sum().item()

    plain = outputs()
    torch._dynamo.reset()
    with gradflow.explain(quiet=True):
        watched = outputs()
    assert watched == plain


class Captured:
    """What a hook closes over."""


@pytest.mark.parametrize(
    "register",
    ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"],
)
def test_a_hook_that_was_removed_is_kept_by_nobody(register):
    layer, captured = nn.Linear(2, 2), Captured()
    alive = weakref.ref(captured)
    with gradflow.explain(quiet=True):
        handle = getattr(layer, register)(lambda *_, held=captured: None)
        layer(torch.ones(1, 2, requires_grad=True)).sum().backward()
        handle.remove()
        del captured, handle
        gc.collect()
        assert alive() is None


def test_a_model_whose_hook_refers_to_it_is_freed():
    with gradflow.explain(quiet=True):
        layer = nn.Linear(2, 2)
        layer.register_forward_hook(lambda *_, itself=layer: None)
        layer(torch.ones(1, 2)).sum().backward()
        alive = weakref.ref(layer)
        del layer
        gc.collect()
        assert alive() is None


class Doubling(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad * 2


@pytest.mark.parametrize(
    "mistake",
    [lambda: torch.from_numpy([1, 2]), lambda: torch.from_dlpack(3), Doubling.apply],
    ids=["from_numpy", "from_dlpack", "apply"],
)
def test_an_error_that_the_program_catches_is_its_own(mistake):
    weight = torch.ones(2, requires_grad=True)
    with gradflow.explain(quiet=True) as explanation:
        with pytest.raises((TypeError, RuntimeError)):
            mistake()
        weight.sum().backward()
        assert weight.grad is not None
    assert explanation.report.undetermined == ()


class OutOfTime(Exception):  # noqa: N818
    pass


def stop(number, frame):
    raise OutOfTime


def test_what_a_signal_handler_raises_goes_on_to_the_program():
    before = signal.signal(signal.SIGALRM, stop)
    aside = Aside(lambda: None)
    try:
        with pytest.raises(OutOfTime):
            aside.looking(lambda: signal.raise_signal(signal.SIGALRM))()
        assert aside.failure == ""
        with pytest.raises(OutOfTime) as caught:
            stop(signal.SIGALRM, None)
        assert is_of_signal_handler(caught.value)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not is_of_signal_handler(caught.value)


def test_a_mistake_of_ours_is_still_ours():
    aside = Aside(lambda: None)
    aside.looking({}.__getitem__)("missing")
    assert aside.failure.startswith("KeyError")


def test_torch_names_a_hook_of_the_program_by_its_name():
    def too_short(grad):
        return grad[:1]

    x = torch.ones(2, requires_grad=True)
    with gradflow.explain(quiet=True):
        y = x * 2
        y.register_hook(too_short)
        with pytest.raises(RuntimeError, match="too_short"):
            y.sum().backward()


def test_a_signal_in_the_middle_of_a_row_leaves_the_recording_whole(monkeypatch):
    before = signal.signal(signal.SIGALRM, stop)
    original, calls = Results.add, []

    def interrupted(self, *given):
        calls.append(1)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGALRM)
        original(self, *given)

    monkeypatch.setattr(Results, "add", interrupted)
    weight = torch.ones(2, requires_grad=True)
    caught = 0
    try:
        with gradflow.explain(quiet=True) as explanation:
            for _ in range(4):
                try:
                    (weight * 2).tanh().sum().backward()
                except OutOfTime:
                    caught += 1
            assert weight.grad is not None
    finally:
        signal.signal(signal.SIGALRM, before)
    assert caught == 1
    assert explanation.report.undetermined == ()
    assert explanation.report.environment.operation_count >= 9
