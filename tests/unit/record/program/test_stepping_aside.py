"""Whatever fails in gradflow itself while it watches, the program gives what it gives without it, and that is said."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow
from gradflow.record.conduct.aside import Aside
from gradflow.record.modules.following import ModuleFollower
from gradflow.record.operations.announced_calls import AnnouncedCalls
from gradflow.record.operations.grad_mode import GradModes
from gradflow.record.operations.reading import Reading
from gradflow.record.operations.results import Results
from gradflow.record.operations.tables import Tables
from gradflow.record.program import backward_calls
from gradflow.record.program.applications import ApplicationKeeper
from gradflow.record.program.asked.reads import GradReads
from gradflow.record.program.backward_notes import BackwardNotes
from gradflow.record.program.hooks import observed, on_tensors, registrations
from gradflow.record.program.light_notes import LightNotes
from gradflow.record.program.log import Log, ModuleKeys
from gradflow.record.program.modules.construction import Construction
from gradflow.record.program.modules.failed_calls import FailedCalls
from gradflow.record.program.modules.fast_path import FastPath
from gradflow.record.program.modules.module_names import ModuleNames
from gradflow.record.program.numbers import Numbers
from gradflow.record.program.operations import flags
from gradflow.record.program.operations.inner_reads import InnerReads
from gradflow.record.program.operations.leaves import MadeParameters, UpdatedFromOutside
from gradflow.record.program.optimizers import OptimizerWatch
from gradflow.record.program.special_calls.compiled import CompiledCalls
from gradflow.record.program.special_calls.swapped_tensors import SwappedTensors
from gradflow.record.program.steps.passes import PassUses
from gradflow.record.recorder import Recorder


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad * 2


def program():
    """A program that comes by every callback; counts what must happen once."""
    torch.manual_seed(0)
    counts = []
    net = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1))
    net[0].register_forward_pre_hook(lambda module, inputs: counts.append("before"))
    net[0].register_forward_hook(lambda module, inputs, output: counts.append("after"))
    net[2].register_full_backward_hook(lambda module, given, wanted: counts.append("backward"))
    net[1].weight.requires_grad_(False)
    net[1] = nn.Tanh()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(10):
        optimizer.zero_grad()
        x = torch.from_numpy(torch.ones(4, 2).numpy()).requires_grad_()
        y = Double.apply(net(x))
        y.register_hook(lambda g: counts.append("tensor"))
        (y.pow(2).mean() + (y * 0).sum()).backward()
        counts.append(round(net[0].weight.grad.sum().item(), 6))
        optimizer.step()
    with torch.inference_mode():
        counts.append(net(torch.ones(1, 2)).item())
    (slope,) = torch.autograd.grad(net(torch.ones(1, 2)).sum(), net[0].weight)
    a, b = torch.ones(2), torch.zeros(2)
    torch.utils.swap_tensors(a, b)
    refused = ""
    try:
        torch.ones(2) @ torch.ones(3)
    except RuntimeError as error:
        refused = str(error)
    return counts, slope.tolist(), a.tolist(), refused, net[2].weight.tolist()


CALLBACKS = [
    (ModuleFollower, "enter"),
    (ModuleFollower, "leave"),
    (ModuleNames, "entered"),
    (ModuleNames, "_name_all"),
    (FailedCalls, "left"),
    (FastPath, "entered"),
    (ModuleKeys, "key_of"),
    (Construction, "_make"),
    (Construction, "_register"),
    (OptimizerWatch, "_make"),
    (OptimizerWatch, "_before"),
    (OptimizerWatch, "_after"),
    (OptimizerWatch, "_noted_of"),
    (backward_calls.BackwardCalls, "_watch"),
    (backward_calls.BackwardCalls, "_announce"),
    (backward_calls.BackwardCalls, "_call"),
    (backward_calls.BackwardCalls, "_remember"),
    (BackwardNotes, "__init__"),
    (BackwardNotes, "_closely"),
    (BackwardNotes, "_facts"),
    (BackwardNotes, "_with_arrivals"),
    (BackwardNotes, "finished"),
    (LightNotes, "watch"),
    (LightNotes, "arrived"),
    (observed.ObservedHook, "_run"),
    (observed.ObservedHook, "_values"),
    (observed.ObservedHook, "_with_gradients"),
    (on_tensors.TensorHooks, "register"),
    (on_tensors.TensorHooks, "_prepare"),
    (on_tensors.TensorHooks, "_observed"),
    (registrations.HookWatch, "_register"),
    (registrations.HookWatch, "_bind"),
    (registrations.HookWatch, "_note_inputs"),
    (registrations.HookWatch, "_observe"),
    (registrations.HookWatch, "put_tables_back"),
    (Recorder, "_classify"),
    (Recorder, "listening"),
    (AnnouncedCalls, "_begin"),
    (AnnouncedCalls, "_log"),
    (Reading, "read"),
    (Results, "look_before"),
    (Results, "add"),
    (Tables, "new_value"),
    (Tables, "value_of"),
    (GradModes, "note_change"),
    (GradModes, "enter_inference"),
    (GradModes, "leave_inference"),
    (flags, "FlagChange"),
    (GradReads, "note"),
    (PassUses, "note_cleared"),
    (MadeParameters, "take"),
    (UpdatedFromOutside, "is_update"),
    (InnerReads, "before"),
    (InnerReads, "after"),
    (InnerReads, "leave"),
    (InnerReads, "note"),
    (ApplicationKeeper, "copy"),
    (Numbers, "leave"),
    (backward_calls, "add_gradients"),
    (Log, "note_gradient"),
    (Log, "note_handed"),
    (SwappedTensors, "_swap"),
    (ModuleFollower, "watching"),
    (CompiledCalls, "watching"),
]


def failing(*args, **kwargs):
    raise LookupError("injected")


def failing_after(original):
    """Fails only when all of its work, the program's operation in it included, is done."""

    def call(*args, **kwargs):
        original(*args, **kwargs)
        raise LookupError("injected")

    return call


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("is_late", [False, True], ids=["at-once", "after-its-work"])
@pytest.mark.parametrize(("owner", "name"), CALLBACKS, ids=lambda value: getattr(value, "__name__", value))
def test_a_failure_of_ours_changes_nothing_and_is_said(owner, name, is_late, monkeypatch):
    plain = program()
    original = getattr(owner, name)
    monkeypatch.setattr(owner, name, failing_after(original) if is_late else failing)
    with gradflow.explain(quiet=True) as explanation:
        watched = program()
    monkeypatch.undo()
    assert watched == plain
    said = [text for text in explanation.report.undetermined if "LookupError" in text]
    assert said
    assert "please report" in said[0]
    assert torch._C._len_torch_function_stack() == 0
    assert torch.autograd.grad.__module__ == "torch.autograd"
    assert not hasattr(torch.autograd.grad, "__wrapped__")


def test_a_healthy_program_names_no_failure():
    with gradflow.explain(quiet=True) as explanation:
        program()
    assert explanation.report.undetermined == ()


def test_what_the_program_raises_is_its_own():
    ended = []
    aside = Aside(lambda: ended.append(1))

    def refuse():
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        aside.around(lambda operation: operation(), refuse)()
    assert not ended
    assert aside.failure == ""


def test_ctrl_c_in_a_callback_reaches_the_program():
    def interrupted(operation):
        operation()
        raise KeyboardInterrupt

    calls = []
    with pytest.raises(KeyboardInterrupt):
        Aside(lambda: None).around(interrupted, lambda: calls.append(1))()
    assert calls == [1]


def test_an_exception_that_was_swallowed_before_ours_is_raised_again():
    def swallow(operation):
        try:
            operation()
        except ValueError:
            failing()

    calls = []

    def operation():
        calls.append(1)
        raise ValueError("mine")

    aside = Aside(lambda: None)
    with pytest.raises(ValueError, match="mine"):
        aside.around(swallow, operation)()
    assert calls == [1]
    assert aside.failure.startswith("LookupError")


def test_the_first_failure_is_kept():
    aside = Aside(lambda: None)
    aside.note(KeyError("one"))
    aside.note(ValueError("two"))
    assert aside.failure.startswith("KeyError")


def test_operations_that_could_not_be_recorded_leave_a_trace_that_can_be_read(monkeypatch):
    count = 0
    original = Results.add

    def tenth(self, *args):
        nonlocal count
        count += 1
        if count == 10:
            failing()
        original(self, *args)

    monkeypatch.setattr(Results, "add", tenth)
    with gradflow.explain(quiet=True) as explanation:
        program()
    (said,) = explanation.report.undetermined
    assert "LookupError" in said
    assert explanation.report.environment.operation_count > 0
