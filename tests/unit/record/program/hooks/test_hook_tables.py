"""The tables of hooks: torch finds the observed hook, everybody else the program's own."""

from __future__ import annotations

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn

import gradflow
from gradflow.record.program.hooks.tables import ModuleTable, TensorTable


def spy(module, inputs, output):
    return None


@pytest.fixture
def layer():
    return nn.Linear(2, 2)


def test_the_table_of_a_module_is_its_own_again_afterwards(layer):
    before = layer._forward_hooks
    early = layer.register_forward_hook(spy)
    with gradflow.explain(quiet=True):
        handle = layer.register_forward_hook(lambda *_: None)
        assert type(layer._forward_hooks) is ModuleTable
        layer(torch.ones(1, 2))
    assert layer._forward_hooks is before
    assert next(iter(before.values())) is spy
    early.remove()
    handle.remove()
    assert not before


def test_a_hook_registered_before_can_be_removed_within(layer):
    handle = layer.register_forward_hook(spy)
    with gradflow.explain(quiet=True):
        other = layer.register_forward_hook(spy)
        handle.remove()
        assert list(layer._forward_hooks) == [other.id]


def test_torch_runs_the_observed_hook(layer):
    calls = []
    layer._forward_hooks[7] = spy
    table = layer.__dict__["_forward_hooks"] = ModuleTable(layer._forward_hooks)
    table.observe(7, lambda *_: calls.append("observed"), lambda: calls.append("read"))
    layer(torch.ones(1, 2))
    assert calls == ["observed"]
    assert table[7] is spy
    assert calls == ["observed", "read"]


def test_a_hook_put_in_place_of_the_observed_one_is_not_taken_for_it(layer):
    calls = []
    layer._forward_hooks[7] = spy
    table = layer.__dict__["_forward_hooks"] = ModuleTable(layer._forward_hooks)
    table.observe(7, lambda *_: calls.append("observed"), lambda: None)
    table[7] = lambda *_: calls.append("other")
    layer(torch.ones(1, 2))
    assert calls == ["other"]


def test_the_table_of_a_module_can_do_what_a_dictionary_can():
    plain = OrderedDict({1: "one", 2: "two"})
    table = ModuleTable(plain)
    assert table == OrderedDict({1: "one", 2: "two"})
    assert repr(table) == repr(plain)
    assert list(reversed(table)) == [2, 1]
    assert dict(table) == {**table} == {1: "one", 2: "two"}
    assert type(table | {3: "three"}) is OrderedDict
    assert type(copy.copy(table)) is OrderedDict
    table |= {3: "three"}
    table.move_to_end(1)
    table.setdefault(4, "four")
    assert list(plain) == [2, 3, 1, 4]
    assert table.pop(4) == "four"
    assert table.popitem() == (1, "one")
    del table[3]
    assert table.get(3) is None
    assert list(table.items()) == [(2, "two")]
    table.clear()
    assert not plain


def test_autograd_calls_what_a_tensors_table_makes_of_a_hook():
    calls = []
    table = TensorTable(lambda hook: lambda gradient: calls.append(hook), lambda key: None)
    x = torch.ones(1, requires_grad=True)
    x._backward_hooks = table
    handle = x.register_hook(spy)
    x.sum().backward()
    assert calls == [spy]
    assert table[handle.id] is spy
    assert table == OrderedDict({handle.id: spy})
    assert list(table.values()) == [spy]
    handle.remove()
    assert not table
    with pytest.raises(KeyError):
        table[handle.id]


def test_a_hook_of_a_layer_that_never_runs_is_still_found():
    with gradflow.explain(quiet=True) as explanation:
        net, spare = nn.Linear(2, 2), nn.Linear(2, 2)
        spare.register_forward_hook(spy)
        net(torch.ones(1, 2)).sum().backward()
    assert [one.name for one in explanation.report.diagnostics] == ["wrong-module-instance"]


def test_of_a_hook_that_the_program_may_have_called_itself_nothing_is_said():
    with gradflow.explain(quiet=True) as explanation:
        net, spare = nn.Linear(2, 2), nn.Linear(2, 2)
        spare.register_forward_hook(spy)
        for hook in spare._forward_hooks.values():
            hook(spare, (), net(torch.ones(1, 2)))
        net(torch.ones(1, 2)).sum().backward()
    assert explanation.report.diagnostics == ()
