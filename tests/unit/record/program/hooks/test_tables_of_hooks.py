"""Tables of hooks compare and join as torch's own do, and a tensor has torch's own again when a block has ended."""

from __future__ import annotations

import gc
from collections import OrderedDict

import pytest
import torch
from torch import nn

import gradflow
from gradflow.record.program.hooks.tables import ModuleTable, TensorTable
from gradflow.record.recorder import Recorder


def module_table() -> ModuleTable:
    return ModuleTable(OrderedDict({1: "one", 2: "two"}))


def tensor_table() -> TensorTable:
    table = TensorTable(lambda hook: ("observed", hook), lambda key: None)
    table.update({1: "one"})
    table[2] = "two"
    return table


@pytest.mark.parametrize("make", [module_table, tensor_table])
def test_it_compares_and_joins_as_a_table_of_torchs_does(make) -> None:
    table, plain = make(), OrderedDict({1: "one", 2: "two"})
    for other in (plain, dict(plain), OrderedDict(), {}, {1: "one"}, make(), 7):
        expected = plain if isinstance(other, (ModuleTable, TensorTable)) else other
        assert (table == other) == (plain == expected)
        assert (table != other) == (plain != expected)
        assert (other == table) == (expected == plain)
        assert (other != table) == (expected != plain)
    for joined in (table | {3: "three"}, table | OrderedDict({3: "three"})):
        assert type(joined) is OrderedDict
        assert joined == {**plain, 3: "three"}
    assert {3: "three"} | table == {3: "three", **plain}
    assert make() | make() == plain
    assert table.setdefault(1, "other") == "one"


def test_a_leaf_has_torchs_own_table_again_and_its_hooks_run_and_go() -> None:
    weight = torch.ones(2, requires_grad=True)
    seen = []

    def hook(gradient: torch.Tensor) -> torch.Tensor:
        seen.append(1)
        return gradient * 2

    with gradflow.explain(quiet=True):
        first, second = weight.register_hook(hook), weight.register_hook(lambda _: seen.append(2))
        weight.sum().backward()
    assert seen == [1, 2]
    assert type(weight._backward_hooks) is OrderedDict
    assert weight._backward_hooks[first.id] is hook
    weight.grad = None
    weight.sum().backward()
    assert seen == [1, 2, 1, 2]
    assert weight.grad.tolist() == [2.0, 2.0]
    first.remove()
    assert list(weight._backward_hooks) == [second.id]
    weight.sum().backward()
    assert seen == [1, 2, 1, 2, 2]
    third = weight.register_hook(hook)
    assert list(weight._backward_hooks) == [second.id, third.id]


def test_the_hook_of_a_computed_tensor_runs_once_and_can_be_removed_after_the_block() -> None:
    weight = torch.ones(2, requires_grad=True)
    seen = []
    with gradflow.explain(quiet=True):
        hidden = weight * 2
        handle = hidden.register_hook(lambda _: seen.append(1))
    hidden.sum().backward(retain_graph=True)
    assert seen == [1]
    handle.remove()
    hidden.sum().backward()
    assert seen == [1]


def test_hooked_tensors_keep_no_recording_alive() -> None:
    gc.collect()
    before = {id(one) for one in gc.get_objects() if type(one) is Recorder}
    weight, layer = torch.ones(2, requires_grad=True), nn.Linear(2, 2)
    with gradflow.explain(quiet=True):
        handles = [weight.register_hook(lambda _: None), layer.register_forward_hook(lambda *_: None)]
        hidden = weight * 2
        handles.append(hidden.register_hook(lambda _: None))
        (hidden + layer(hidden)).sum().backward()
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is Recorder and id(one) not in before]
    assert len(handles) == 3


def test_tensors_with_hooks_can_be_swapped_within_a_block() -> None:
    one, other = nn.Parameter(torch.ones(2)), nn.Parameter(torch.zeros(2))
    with gradflow.explain(quiet=True) as explanation:
        one.register_hook(lambda gradient: gradient * 3)
        torch.utils.swap_tensors(one, other)
        (one.sum() + other.sum()).backward()
    assert (one.grad.tolist(), other.grad.tolist()) == ([1.0, 1.0], [3.0, 3.0])
    assert not any("own observation" in text for text in explanation.report.undetermined)
