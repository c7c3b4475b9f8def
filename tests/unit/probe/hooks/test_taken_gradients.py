"""A hook that makes a gradient zero is found by leaving it out, and is back afterwards."""

from __future__ import annotations

import functools
import inspect
from collections import OrderedDict

import pytest
import torch
from torch import nn

import gradflow
from gradflow.probe.hooks.program_hooks import hooks_on, left_out


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.second(self.first(x))


def nothing_of_it(gradient):
    return torch.zeros_like(gradient)


def emptied(gradient):
    return gradient.new_zeros(gradient.shape)


def factored(gradient, by):
    return gradient * by


def scaled(gradient, by):
    return gradient * by


class Mask:
    def __init__(self, by):
        self.by = by

    def __call__(self, gradient):
        return gradient * self.by


class OnParameter(Plain):
    def __init__(self):
        super().__init__()
        self.first.weight.register_hook(emptied)  # <- here


class ByPartial(Plain):
    def __init__(self):
        super().__init__()
        self.first.weight.register_hook(functools.partial(factored, by=0.0))  # <- here


class ByMethod(Plain):
    def __init__(self):
        super().__init__()
        self.first.weight.register_hook(self.quench)  # <- here

    def quench(self, gradient):
        return gradient.clamp(0, 0)


class OnModule(Plain):
    def __init__(self):
        super().__init__()

        def drop(module, arriving, leaving):
            return (arriving[0] * 0,)

        self.second.register_full_backward_hook(drop)  # <- here


class BeforeModule(Plain):
    def __init__(self):
        super().__init__()
        self.second.register_full_backward_pre_hook(lambda m, leaving: tuple(map(nothing_of_it, leaving)))  # <- here


class InForward(Plain):
    def forward(self, x):
        h = self.first(x)
        h.register_hook(nothing_of_it)  # <- here
        return self.second(h)


MODELS = [OnParameter, ByPartial, ByMethod, OnModule, BeforeModule, InForward]


def marked(cls):
    lines, first = inspect.getsourcelines(cls)
    (found,) = [first + number for number, line in enumerate(lines) if "# <- here" in line]
    return found


@pytest.mark.parametrize("cls", MODELS)
def test_a_check_names_the_hook_and_the_line_that_registers_it(cls):
    report = gradflow.check(cls(), inputs=torch.randn(2, 3), parameter="first.weight")
    assert report.verdict == "zero"
    (found,) = report.diagnostics
    assert (found.code, found.severity) == ("GF411", "error")
    assert found.location.line == marked(cls)


@pytest.mark.parametrize("cls", MODELS)
def test_an_audit_names_it_too(cls):
    report = gradflow.audit(cls(), inputs=torch.randn(2, 3))
    (found,) = report.diagnostics
    assert found.code == "GF411"
    assert "first.weight" in found.hides
    assert found.location.line == marked(cls)


def test_a_hook_of_a_class_of_its_own_is_shown_where_its_code_begins():
    model = Plain()
    model.first.weight.register_hook(Mask(0.0))
    report = gradflow.check(model, inputs=torch.randn(2, 3), parameter="first.weight")
    (found,) = report.diagnostics
    assert found.code == "GF411"
    assert found.location.line == inspect.getsourcelines(Mask.__call__)[1]
    assert any(text.startswith("on which line a hook on the parameter") for text in report.undetermined)


def test_a_hook_that_looks_or_scales_is_not_blamed_for_a_zero_of_another_cause():
    class Saturated(Plain):
        def forward(self, x):
            return self.second((self.first(x) - 1e6).relu())

    model = Saturated()
    model.first.weight.register_hook(lambda gradient: gradient * 0.5)
    model.second.register_full_backward_hook(lambda *arguments: None)
    report = gradflow.check(model, inputs=torch.randn(2, 3), parameter="first.weight")
    assert report.verdict == "zero"
    assert {one.code for one in report.diagnostics} == {"GF403"}


def test_a_hook_that_masks_some_entries_leaves_the_model_connected():
    model = Plain()
    model.first.weight.register_hook(lambda gradient: gradient * torch.tensor([1.0, 0.0, 1.0]))
    assert gradflow.check(model, inputs=torch.randn(2, 3), parameter="first.weight").verdict == "connected"


def test_two_hooks_each_of_which_is_enough_are_named_together_and_less_surely():
    model = Plain()
    model.first.weight.register_hook(nothing_of_it)
    model.second.register_full_backward_hook(lambda m, arriving, leaving: (arriving[0] * 0,))
    found = gradflow.check(model, inputs=torch.randn(2, 3), parameter="first.weight").diagnostics
    assert {(one.code, one.severity) for one in found} == {("GF411", "warning")}
    assert len(found) == 2


@pytest.mark.parametrize("cls", MODELS)
def test_the_hooks_are_as_they_were_afterwards(cls):
    model = cls()
    before = [(one.owner, one.key, one.hook) for one in hooks_on(model)]
    gradflow.check(model, inputs=torch.randn(2, 3), parameter="first.weight")
    assert [(one.owner, one.key, one.hook) for one in hooks_on(model)] == before
    model(torch.randn(2, 3)).sum().backward()
    assert not model.first.weight.grad.any()


def test_hooks_come_back_in_their_order_also_when_a_run_raises_and_adds_one():
    model = Plain()
    for number in range(4):
        model.first.weight.register_hook(functools.partial(scaled, by=number))
    placed = hooks_on(model)
    table: OrderedDict = placed[0].table
    keys = list(table)

    def add_and_fail():
        assert list(table) == [keys[0], keys[3]]
        model.first.weight.register_hook(nothing_of_it)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), left_out(placed[1:3]):
        add_and_fail()
    assert list(table)[:4] == keys
    assert len(table) == 5
