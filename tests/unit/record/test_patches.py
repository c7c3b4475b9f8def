"""Functions of torch that stand in for the time of a run."""

from __future__ import annotations

import contextlib
import pickle
import sys
import types
import weakref

import numpy
import pytest
import torch

from gradflow.location import SiteTable
from gradflow.record.patches import OwnNames, own_modules, replace, replace_function, watched
from gradflow.record.program.watching import Watch
from gradflow.record.recorder import Recorder


def standing_in():
    def ours(*args):
        return "ours"

    return ours


def test_what_the_program_has_put_there_since_stays(monkeypatch):
    owner = types.ModuleType("owner")
    owner.name = original = lambda: "theirs"
    with contextlib.ExitStack() as stack:
        replace(stack, owner, "name", standing_in())
        assert owner.name() == "ours"
        owner.name = program = lambda: "the program's"
    assert owner.name is program
    with contextlib.ExitStack() as stack:
        owner.name = original
        replace(stack, owner, "name", standing_in())
    assert owner.name is original


def test_a_function_is_pickled_by_the_name_under_which_it_is_found():
    with contextlib.ExitStack() as stack:
        replace_function(stack, torch.jit, "script", standing_in(), OwnNames())
        assert torch.jit.script() == "ours"
        sent = pickle.dumps(torch.jit.script)
    assert pickle.loads(sent) is torch.jit.script
    assert torch.jit.script.__module__ != "tests"


def test_a_method_is_of_the_module_that_the_original_is_of():
    before = torch.Tensor.backward.__module__
    assert before != torch.Tensor.__module__
    with contextlib.ExitStack() as stack:
        replace(stack, torch.Tensor, "backward", standing_in())
        assert torch.Tensor.backward.__module__ == before
        sent = pickle.dumps(torch.Tensor.backward)
    assert pickle.loads(sent) is torch.Tensor.backward


def test_a_module_that_raises_when_it_is_looked_at_is_not(monkeypatch):
    class Missing(types.ModuleType):
        def __getattribute__(self, name):
            raise ImportError("please install an extra")

    monkeypatch.setitem(sys.modules, "an_extra", Missing("an_extra"))
    monkeypatch.setitem(sys.modules, "no_module", object())
    mine = types.ModuleType("mine")
    mine.__file__ = "/somewhere/mine.py"
    mine.held = torch.from_numpy
    monkeypatch.setitem(sys.modules, "mine", mine)
    assert mine in own_modules()
    with contextlib.ExitStack() as stack:
        replace_function(stack, torch, "from_numpy", standing_in(), OwnNames())
        assert mine.held() == "ours"
    assert mine.held is torch.from_numpy


def test_what_a_module_has_bound_to_something_else_since_is_left(monkeypatch):
    mine, own = types.ModuleType("mine"), OwnNames()
    mine.__file__, mine.held, mine.other = "/somewhere/mine.py", torch.from_numpy, torch.from_numpy
    monkeypatch.setitem(sys.modules, "mine", mine)
    assert list(own.of(torch.from_numpy)) == [(mine, "held"), (mine, "other")]
    mine.other = None
    assert list(own.of(torch.from_numpy)) == [(mine, "held")]


def test_only_functions_of_the_modules_that_are_looked_for_are_replaced():
    with contextlib.ExitStack() as stack, pytest.raises(ValueError, match=r"torch\.nn\.functional"):
        replace_function(stack, torch.nn.functional, "relu", standing_in(), OwnNames())


def test_a_module_of_the_users_own_in_the_place_of_a_librarys(monkeypatch):
    first, then = types.ModuleType("borrowed"), types.ModuleType("borrowed")
    first.__file__, then.__file__ = torch.__file__, "/somewhere/borrowed.py"
    monkeypatch.setitem(sys.modules, "borrowed", first)
    assert first not in own_modules()
    monkeypatch.setitem(sys.modules, "borrowed", then)
    assert then in own_modules()


def test_a_capsule_says_where_it_came_from_and_no_other_that_has_its_number() -> None:
    recorder = Recorder(SiteTable())
    with watched(recorder), recorder:
        there = torch.ones(4)
        torch.utils.dlpack.to_dlpack(there)  # dies at once: the next one may stand at its address
        other = numpy.arange(4, dtype=numpy.float32).__dlpack__()
        torch.from_dlpack(other)
        torch.from_dlpack(torch.utils.dlpack.to_dlpack(there))
        passing = torch.ones(2)
        alive = weakref.ref(passing)
        torch.utils.dlpack.to_dlpack(passing)
        del passing
    assert recorder.failed is None
    tables = recorder.tables
    rows = [row for row in range(len(tables.operations.name)) if tables.name_of(row) == "from_dlpack"]
    assert [tables.inputs_of(row) for row in rows] == [[], [recorder.known_value(there)]]
    assert alive() is None


def test_an_import_takes_its_argument_under_torchs_own_name():
    plain = torch.ones(2)
    watch = Watch()
    with watch.watching():
        assert torch.equal(torch.from_dlpack(ext_tensor=plain), plain)
    recording = watch.seen().recording
    assert "from_dlpack" in [recording.name_of(row) for row in range(len(recording))]
