"""Facts about tensors are read past their classes and past all modes."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from gradflow.record.operations import tensor_facts as facts
from gradflow.torch_facts.dispatch_modes import outside_dispatch


class Shy(torch.Tensor):
    @property
    def shape(self):
        raise RuntimeError("none of your business")

    @property
    def requires_grad(self):
        raise RuntimeError("none of your business")

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError("none of your business")


QUESTIONS = (
    facts.requires_grad,
    facts.is_leaf,
    facts.retains_grad,
    facts.dtype_of,
    facts.gradient_of,
    facts.version_of,
    facts.is_inference,
    facts.is_view,
    facts.storage_pointer,
    facts.shape_of,
    facts.has_readable_numbers,
)


@pytest.mark.parametrize("ask", QUESTIONS, ids=lambda ask: ask.__name__)
def test_a_class_of_the_program_is_not_asked(ask):
    plain = torch.ones(2, 3).view(2, 3)
    with torch._C.DisableTorchFunction():
        shy = plain.as_subclass(Shy)
    assert ask(shy) == ask(plain)


@pytest.mark.parametrize("ask", QUESTIONS, ids=lambda ask: ask.__name__)
def test_a_function_mode_does_not_see_the_question(ask):
    seen = []

    class Log(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **(kwargs or {}))

    x = torch.ones(2, requires_grad=True)
    with Log():
        ask(x)
    assert seen == []


def test_a_dispatch_mode_does_not_see_what_is_computed_outside():
    seen = []

    class Log(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **(kwargs or {}))

    x = torch.ones(2)
    with Log():
        with outside_dispatch():
            assert x.sum().item() == 2
        assert seen == []
        x.sum()
    assert len(seen) == 1


def test_what_has_numbers_of_its_own():
    assert facts.has_readable_numbers(torch.ones(2).as_subclass(type("Tagged", (torch.Tensor,), {})))
    assert facts.has_readable_numbers(torch.nested.nested_tensor([torch.ones(2)], layout=torch.jagged))


def test_what_has_none():
    assert not facts.has_readable_numbers(torch.ones(2, device="meta"))
    assert not facts.has_readable_numbers(torch.nn.UninitializedParameter())
    with FakeTensorMode():
        assert not facts.has_readable_numbers(torch.ones(2))
    seen = []
    torch.vmap(lambda x: seen.append(facts.has_readable_numbers(x)) or x)(torch.ones(2))
    assert seen == [False]


def test_shapes_that_are_not_known():
    assert facts.shape_of(torch.nn.UninitializedParameter()) == ()
    rows = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
    assert facts.shape_of(rows) == (2, -1)
    assert facts.shape_of(torch.ones(2, 3)) == (2, 3)
