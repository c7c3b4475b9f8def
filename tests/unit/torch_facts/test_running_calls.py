"""Torch runs each step and each call in a frame of its own, from which it calls the hooks that see it begin."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_pre_hook

from gradflow.torch_facts.running_calls import (
    is_running,
    is_within_a_backward_of_a_function,
    module_call,
    optimizer_step,
)


class Refusing(torch.optim.SGD):
    def step(self, closure: Any = None) -> None:
        self.inside()
        raise ValueError("no step today")

    def inside(self) -> None: ...


def test_a_step_runs_until_it_has_raised() -> None:
    numbers, inside = [], []
    optimizer = Refusing([torch.ones(1, requires_grad=True)], lr=0.1)
    optimizer.inside = lambda: inside.append(is_running(numbers[0], sys._getframe()))  # type: ignore[method-assign]
    handle = register_optimizer_step_pre_hook(lambda *_: numbers.append(optimizer_step(sys._getframe())))
    try:
        with pytest.raises(ValueError, match="today"):
            optimizer.step()
    finally:
        handle.remove()
    assert numbers[0] >= 0
    assert inside == [True]
    assert not is_running(numbers[0], sys._getframe())


def test_a_call_runs_until_ctrl_c_has_ended_it() -> None:
    class Interrupted(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inside.append(is_running(numbers[0], sys._getframe()))
            raise KeyboardInterrupt

    numbers: list[int] = []
    inside: list[bool] = []
    handle = register_module_forward_pre_hook(lambda *_: numbers.append(id(module_call(sys._getframe()))))
    try:
        with pytest.raises(KeyboardInterrupt):
            Interrupted()(torch.ones(1))
    finally:
        handle.remove()
    assert inside == [True]
    assert not is_running(numbers[0], sys._getframe())


def test_outside_of_both_there_is_no_number() -> None:
    assert (optimizer_step(sys._getframe()), module_call(sys._getframe())) == (-1, None)


class Refuses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        raise ValueError("no gradient today")


@torch.autograd.function.once_differentiable
def _refuse(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
    raise ValueError("no gradient today")


class RefusesOnce(Refuses):
    backward = staticmethod(_refuse)


def _of_hook(x: torch.Tensor) -> torch.Tensor:
    y = x * 2
    y.register_hook(lambda gradient: _refuse(None, gradient))
    return y


@pytest.mark.parametrize(
    ("make", "is_of_function"), [(Refuses.apply, True), (RefusesOnce.apply, True), (_of_hook, False)]
)
def test_a_backward_of_a_function_is_told_from_a_hook(make: Any, is_of_function: bool) -> None:
    with pytest.raises(ValueError, match="no gradient today") as caught:
        make(torch.ones(2, requires_grad=True)).sum().backward()
    assert is_within_a_backward_of_a_function(caught.value.__traceback__) is is_of_function
