"""A wrapper that the program puts around a function of torch runs once for each call, also where a mode is on."""

from __future__ import annotations

import sys

import torch
from torch.overrides import TorchFunctionMode

from gradflow.record.operations.asking import asked_function


class Asking(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if isinstance(func, type(asked_function)):
            func = asked_function(func, sys._getframe(1))
        self.found.append(func)
        return func(*args, **(kwargs or {}))


def test_the_function_that_asked_is_run_and_not_the_wrapper(monkeypatch):
    original, calls = torch.nn.functional.dropout, []

    def logged(*args, **kwargs):
        calls.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "dropout", logged)
    with Asking() as mode:
        logged(torch.ones(2), p=0.0)
    assert calls == [1]
    assert [one.__code__ for one in mode.found if type(one) is type(original)] == [original.__code__]


def test_a_function_without_a_wrapper_is_itself():
    with Asking() as mode:
        torch.nn.functional.dropout(torch.ones(2), p=0.0)
    assert torch.nn.functional.dropout in mode.found


def test_a_function_of_the_program_that_asks_for_itself_is_itself():
    def mine(x):
        if torch.overrides.has_torch_function((x,)):
            return torch.overrides.handle_torch_function(mine, (x,), x)
        return x * 2

    with Asking() as mode:
        assert mine(torch.ones(1)).item() == 2
    assert mine in mode.found
