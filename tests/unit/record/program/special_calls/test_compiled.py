"""Compiled and scripted programs stay what they are, within a watched block and after it."""

from __future__ import annotations

import gc
import pickle

import pytest
import torch
from torch import nn

import gradflow
from gradflow.record.program.special_calls.compiled import CompiledCalls
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
CALLBACKS = ["_read", "_script", "_compile", "_call_module", "_call_function", "_run", "_note_compiled"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_does_what_it_does_alone(program) -> None:
    plain = program()
    with gradflow.explain(quiet=True) as explanation:
        assert program() == plain
    assert not any("own observation" in text for text in explanation.report.undetermined)


@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize("is_late", [False, True])
def test_a_failure_of_ours_changes_nothing_and_is_said(name: str, is_late: bool, monkeypatch) -> None:
    original = getattr(CompiledCalls, name)

    def fail(self, *args, **kwargs):
        if is_late:
            original(self, *args, **kwargs)
        raise LookupError("injected")

    monkeypatch.setattr(CompiledCalls, name, fail)
    with gradflow.explain(quiet=True) as explanation:
        shapes, gradient = scripts_and_reads(), compiles()
    assert shapes == [(1, 2)] * 3
    assert gradient == [[2.0, 2.0]]
    assert any("own observation failed: LookupError" in text for text in explanation.report.undetermined)
