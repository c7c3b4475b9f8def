"""Compiled and scripted programs stay what they are, within a watched block and after it."""

from __future__ import annotations

import gc
import pickle
import threading

import pytest
import torch
from torch import nn

import gradflow
from gradflow.record.program.special_calls.compiled import CompiledCalls
from gradflow.record.program.special_calls.opaque_call import OpaqueCalls
from gradflow.record.program.special_calls.scripted import ScriptedCalls
from gradflow.record.program.watching import Watch
from gradflow.record.recorder import Recorder

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_compiled_module_is_torchs_own() -> None:
    from torch._dynamo.eval_frame import OptimizedModule

    own_call = OptimizedModule.__call__
    layer = nn.Linear(2, 2)
    with gradflow.explain(quiet=True):
        compiled = torch.compile(layer, backend="eager")
        assert type(compiled) is OptimizedModule
        pickled = pickle.dumps(compiled)
    assert OptimizedModule.__call__ is own_call
    assert isinstance(pickle.loads(pickled), OptimizedModule)
    torch.testing.assert_close(compiled(torch.ones(1, 2)), layer(torch.ones(1, 2)))


@pytest.mark.parametrize("when", ["before", "within"])
def test_a_compiled_module_runs_as_one_operation(when: str) -> None:
    watch = Watch()
    layer = nn.Linear(2, 2)
    compiled = torch.compile(layer, backend="eager") if when == "before" else None
    with watch.watching():
        if compiled is None:
            compiled = torch.compile(layer, backend="eager")
        compiled(torch.ones(1, 2)).sum().backward()
    observation = watch.seen()
    assert observation.recording.completeness.is_to_the_end
    names = [observation.recording.name_of(row) for row in range(len(observation.recording))]
    assert names.count("(compiled)") == 1
    assert "linear" not in names
    assert len(observation.recording.calls) == 1


def test_a_compiled_function_keeps_nothing_of_the_watch() -> None:
    gc.collect()
    before = {id(one) for one in gc.get_objects() if type(one) is Recorder}
    with gradflow.explain(quiet=True):
        kept = torch.compile(lambda x: x * 2, backend="eager")
        kept(torch.ones(2))
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is Recorder and id(one) not in before]
    assert torch.equal(kept(torch.ones(2)), torch.full((2,), 2.0))
    with gradflow.explain(quiet=True):  # another one sees it
        assert torch.equal(kept(torch.ones(2)), torch.full((2,), 2.0))


def test_what_was_put_around_a_function_is_nothing_but_it_afterwards() -> None:
    with gradflow.explain(quiet=True):
        compiling, tracing = torch.compile, torch.jit.trace
    layer = nn.Linear(2, 2)
    assert type(compiling(layer, backend="eager")) is type(torch.compile(layer, backend="eager"))
    assert tracing(layer, torch.ones(1, 2))(torch.ones(1, 2)).shape == (1, 2)


class Loud(nn.Module):
    def forward(self, x):
        raise ValueError("mine")


def test_an_exception_of_a_compiled_module_is_the_programs() -> None:
    with gradflow.explain(quiet=True) as explanation:
        compiled = torch.compile(Loud(), backend="eager", disable=True)
        for made in (compiled, torch.compile(Loud(), backend="eager")):
            with pytest.raises(ValueError, match="mine"):
                made(torch.ones(1))
    assert explanation.report is not None
    assert not any("own observation" in text for text in explanation.report.undetermined)


def scripts_a_local_class() -> object:
    class Held:  # what scripting a class needs is looked up in the function that calls it
        def __init__(self, x: torch.Tensor) -> None:
            self.x = x

    scripted = torch.jit.script(Held)
    return scripted(torch.ones(1)).x.item()


def scripts_and_reads() -> object:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    scripted, graph = torch.jit.script(model), torch.fx.symbolic_trace(model)
    traced = torch.jit.trace(model, torch.ones(1, 2))
    return [one(torch.ones(1, 2)).shape for one in (scripted, graph, traced)]


def compiles() -> object:
    model = nn.Linear(2, 1)
    compiled = torch.compile(model, backend="eager")
    double = torch.compile(backend="eager")(lambda x: x * 2)
    out = double(compiled(torch.ones(1, 2)))
    out.sum().backward()
    return model.weight.grad.tolist()


PROGRAMS = [scripts_a_local_class, scripts_and_reads, compiles]
CALLBACKS = [
    *((CompiledCalls, name) for name in ("_read", "_script", "_compile", "_call_module", "_call_function")),
    (CompiledCalls, "_note_compiled"),
    (ScriptedCalls, "_call"),
    (OpaqueCalls, "run"),
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_does_what_it_does_alone(program) -> None:
    plain = program()
    with gradflow.explain(quiet=True) as explanation:
        assert program() == plain
    assert not any("own observation" in text for text in explanation.report.undetermined)


@pytest.mark.parametrize(("owner", "name"), CALLBACKS)
@pytest.mark.parametrize("is_late", [False, True])
def test_a_failure_of_ours_changes_nothing_and_is_said(owner: type, name: str, is_late: bool, monkeypatch) -> None:
    original = getattr(owner, name)

    def fail(self, *args, **kwargs):
        if is_late:
            original(self, *args, **kwargs)
        raise LookupError("injected")

    monkeypatch.setattr(owner, name, fail)
    with gradflow.explain(quiet=True) as explanation:
        shapes, gradient = scripts_and_reads(), compiles()
    assert shapes == [(1, 2)] * 3
    assert gradient == [[2.0, 2.0]]
    assert any("own observation failed: LookupError" in text for text in explanation.report.undetermined)


class Counting(torch.overrides.TorchFunctionMode):
    """A mode of the program's own."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def runs_under_its_own_observers() -> object:
    """What the program's modes, hooks and default device make of compiled calls, and what comes after."""
    torch.compiler.reset()
    seen: list[str] = []
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: seen.append(type(module).__name__))
    layer, mode = nn.Linear(2, 2), Counting()
    try:
        torch.set_default_device("meta")
        made = torch.compile(lambda: torch.zeros(3), backend="eager")()
    finally:
        torch.set_default_device(None)
    try:
        compiled = torch.compile(layer, backend="eager")
        compiled(torch.ones(1, 2))
        handle.remove()
        twice = torch.compile(lambda x: x * 2, backend="eager")
        with mode:
            twice(torch.ones(3))
        layer(torch.ones(1, 2))
    finally:
        handle.remove()
    return made.device.type, seen, mode.count


def test_the_programs_own_modes_hooks_and_default_device_stay() -> None:
    plain = runs_under_its_own_observers()
    assert plain == ("meta", ["Linear", "OptimizedModule"], 2)
    watch = Watch()
    with watch.watching():
        assert runs_under_its_own_observers() == plain
    recording = watch.seen().recording
    # what comes after is seen as before
    assert recording.name_of(len(recording) - 1) == "linear"
    assert recording.calls[-1].type_name == "Linear"


def test_the_hooks_of_another_thread_run_while_something_is_compiled() -> None:
    inside, go_on, seen = threading.Event(), threading.Event(), []
    handle = nn.modules.module.register_module_forward_hook(lambda *_: seen.append(threading.current_thread().name))

    def worker() -> None:
        inside.wait(60)
        nn.Linear(2, 2)(torch.ones(1, 2))
        go_on.set()

    def backend(graph, inputs):
        inside.set()
        assert go_on.wait(60)
        return graph.forward

    thread = threading.Thread(target=worker, name="worker")
    try:
        with gradflow.explain(quiet=True):
            thread.start()
            torch.compile(lambda x: x * 3, backend=backend)(torch.ones(2))
            thread.join()
    finally:
        handle.remove()
    assert "worker" in seen


def test_a_program_names_its_arguments_as_it_likes() -> None:
    with gradflow.explain(quiet=True) as explanation:
        compiled = torch.compile(lambda x, operation, self, compiled: x * operation, backend="eager")
        assert compiled(torch.ones(1), operation=2, self=None, compiled=None).item() == 2
        with pytest.raises(TypeError, match="positional"):
            torch.compile(compiled, 1)
    assert explanation.report.undetermined == ()


def reads_its_closure(way: str, compile_it: str) -> gradflow.Report:
    """A gradient that does not come, of a layer that compiled code reads in some way."""
    torch.compiler.reset()
    layer, scale = nn.Linear(2, 2), torch.ones(2, requires_grad=True)
    with gradflow.explain(quiet=True) as explanation:
        if compile_it == "module":
            layer.compile(backend="eager")
            run = layer
        else:
            run = torch.compile({"inside": lambda x: layer(x).detach(), "outside": layer.forward}[way], backend="eager")
        out = run(torch.ones(1, 2))
        if way == "outside":
            out = out.detach()
        (out * scale).sum().backward()
        gradients = [layer.weight.grad, scale.grad]
    assert [one is None for one in gradients] == [True, False]
    return explanation.report


@pytest.mark.parametrize("compile_it", ["module", "function"])
def test_what_compiled_code_reads_with_a_gradient_is_known(compile_it: str) -> None:
    report = reads_its_closure("outside", compile_it)
    assert [one.code for one in report.diagnostics] == ["GF101"]


def test_what_it_reads_without_one_is_not_said_to_be_unused() -> None:
    report = reads_its_closure("inside", "function")
    assert report.diagnostics == ()
    assert report.verdict == "not determined"
    assert any("the compiled code" in text and "may read it" in text for text in report.undetermined)


def test_what_compiled_code_cannot_have_read_is_unused() -> None:
    torch.compiler.reset()
    with gradflow.explain(quiet=True) as explanation:
        double = torch.compile(lambda x: x * 2, backend="eager")
        double(torch.ones(2, requires_grad=True)).sum().backward()  # another score
        used, spare = nn.Linear(2, 2), nn.Linear(2, 2)
        used(torch.ones(1, 2)).sum().backward()
        gradients = [used.weight.grad, spare.weight.grad]
    assert [one is None for one in gradients] == [False, True]
    assert [one.code for one in explanation.report.diagnostics] == ["GF302"]
    assert explanation.report.undetermined == ()


def test_the_leaves_of_a_deep_graph_are_not_looked_for(monkeypatch) -> None:
    watch, layer = Watch(), nn.Linear(2, 2)
    monkeypatch.setattr("gradflow.record.program.special_calls.read_inside.node_limit", lambda: 10)
    with watch.watching():
        run = torch.compile(layer.forward, backend="eager")
        near, deep = torch.ones(1, 2, requires_grad=True), torch.ones(1, 2, requires_grad=True)
        for _ in range(20):
            deep = deep * 2
        run(near)
        run(deep)
    recording = watch.seen().recording
    rows = [row for row in range(len(recording)) if recording.name_of(row) == "(compiled)"]
    assert [len(recording.inputs_of(row)) for row in rows] == [3, 1]
