"""Hooks that torch calls when a leaf has got its gradient stay what they are, and work, in and after a watch."""

from __future__ import annotations

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn

import gradflow


@pytest.fixture
def layer():
    return nn.Linear(2, 1)


def spy(parameter):
    return None


def test_the_table_is_torchs_own_again_afterwards_and_the_handle_works(layer):
    ran = []
    with gradflow.explain(quiet=True):
        handle = layer.weight.register_post_accumulate_grad_hook(ran.append)
        layer(torch.ones(1, 2)).sum().backward()
    assert type(layer.weight._post_accumulate_grad_hooks) is OrderedDict
    layer(torch.ones(1, 2)).sum().backward()
    assert [one is layer.weight for one in ran] == [True, True]
    handle.remove()
    layer(torch.ones(1, 2)).sum().backward()
    assert len(ran) == 2


def test_a_hook_is_found_again_as_itself(layer):
    with gradflow.explain(quiet=True):
        handle = layer.weight.register_post_accumulate_grad_hook(spy)
        assert list(layer.weight._post_accumulate_grad_hooks.values()) == [spy]
        assert layer.weight._post_accumulate_grad_hooks[handle.id] is spy
    assert layer.weight._post_accumulate_grad_hooks[handle.id] is spy


def test_a_hook_from_before_stays_with_those_that_are_added(layer):
    ran = []
    layer.weight.register_post_accumulate_grad_hook(lambda parameter: ran.append("early"))
    table = layer.weight._post_accumulate_grad_hooks
    with gradflow.explain(quiet=True):
        layer.weight.register_post_accumulate_grad_hook(lambda parameter: ran.append("late"))
        layer(torch.ones(1, 2)).sum().backward()
    assert ran == ["early", "late"]
    assert layer.weight._post_accumulate_grad_hooks is table


def test_a_hook_may_take_itself_off(layer):
    ran = []

    def once(parameter):
        ran.append(parameter.grad is not None)
        handle.remove()

    with gradflow.explain(quiet=True):
        handle = layer.weight.register_post_accumulate_grad_hook(once)
        for _ in range(2):
            layer(torch.ones(1, 2)).sum().backward()
    assert ran == [True]


def test_what_a_hook_raises_is_the_programs_own(layer):
    def refuse(parameter):
        raise KeyError("mine")

    with gradflow.explain(quiet=True):
        layer.weight.register_post_accumulate_grad_hook(refuse)
        score = layer(torch.ones(1, 2)).sum()
        with pytest.raises(KeyError, match="mine") as caught:
            score.backward()
    assert "gradflow" not in "".join(str(entry.path) for entry in caught.traceback[1:])


@pytest.mark.parametrize("make", [lambda: torch.ones(2), lambda: torch.ones(2, requires_grad=True) * 2])
def test_torch_refuses_as_it_does_without_gradflow(make):
    with pytest.raises(RuntimeError) as plain:
        make().register_post_accumulate_grad_hook(spy)
    tensor = make()
    with gradflow.explain(quiet=True), pytest.raises(RuntimeError) as watched:
        tensor.register_post_accumulate_grad_hook(spy)
    assert str(watched.value) == str(plain.value)
    assert tensor._post_accumulate_grad_hooks is None


def test_a_copy_and_a_swapped_parameter_are_as_without_gradflow(layer):
    with gradflow.explain(quiet=True):
        layer.weight.register_post_accumulate_grad_hook(spy)
        made = copy.deepcopy(layer)
    assert made.weight._post_accumulate_grad_hooks is None
    assert torch.equal(made.weight, layer.weight)
