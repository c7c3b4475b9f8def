"""A result lies in the memory of an argument only where both lie in one storage, whatever autograd calls a view."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.testing._internal.two_tensor import TwoTensor

import gradflow
from gradflow.location import SiteTable
from gradflow.record.recorder import Recorder


def memories(function, *arguments):
    """The memory of each argument, then that of each tensor that a function returns."""
    recorder = Recorder(SiteTable())
    with recorder:
        results = function(*arguments)
    results = results if isinstance(results, (tuple, list)) else (results,)
    assert recorder.failed is None
    return [recorder.values.memory[recorder.known_value(tensor)] for tensor in (*arguments, *results)]


OF_THEIR_OWN = {
    "linear": lambda x: functional.linear(x, torch.ones(5, 4)),
    "linear with bias": lambda x: functional.linear(x, torch.ones(5, 4), torch.ones(5)),
    "einsum": lambda x: torch.einsum("abc,cd->abd", x, torch.ones(4, 4)),
    "tensordot": lambda x: torch.tensordot(x, torch.ones(4, 4), dims=1),
    "instance norm": functional.instance_norm,
    "attention": lambda x: functional.scaled_dot_product_attention(x, x, x),
    "unbatched convolution": lambda x: functional.conv1d(x[0], torch.ones(2, 3, 1)),
    "converted": lambda x: torch.as_tensor(x, dtype=torch.float64),
    "converted by keyword": lambda x: torch.as_tensor(data=x, dtype=torch.float64),
    "array, converted": lambda x: torch.as_tensor(x.detach().numpy(), dtype=torch.float64),
}


@pytest.mark.parametrize("function", OF_THEIR_OWN.values(), ids=OF_THEIR_OWN)
def test_a_view_of_what_the_operation_itself_made_has_memory_of_its_own(function):
    given, made = memories(function, torch.randn(2, 3, 4, requires_grad=True))
    assert made != given


SHARED = {
    "indexed": lambda x: x[0],
    "turned": lambda x: x.transpose(0, 1),
    "view of a view": lambda x: x[0].unsqueeze(0).expand(3, 3, 4),
    "by keyword": lambda x: torch.flatten(input=x),
    "diagonal by einsum": lambda x: torch.einsum("aii->ai", x[:, :3, :3]),
    "detached": lambda x: x.detach(),
    "numbers only": lambda x: x.data,
    "array": lambda x: torch.as_tensor(x.detach().numpy()),
    "part of an array": lambda x: torch.as_tensor(x.detach().numpy()[1:]),
}


@pytest.mark.parametrize("function", SHARED.values(), ids=SHARED)
def test_what_lies_in_the_storage_of_an_argument_shares_its_memory(function):
    given, made = memories(function, torch.randn(2, 3, 4, requires_grad=True))
    assert made == given


@pytest.mark.parametrize("x", [torch.ones(0, 2, 3), torch.ones(1, 2, 3, device="meta")], ids=["empty", "meta"])
def test_a_storage_without_an_address_is_told_from_others(x):
    given, view, product = memories(lambda x: (x.transpose(1, 2), functional.linear(x, x.new_ones(4, 3))), x)
    assert view == given
    assert product != given


def test_a_view_of_another_argument_than_the_first_lies_in_that_one():
    first, second, spread_first, spread_second = memories(torch.broadcast_tensors, torch.ones(3, 1), torch.ones(1, 4))
    assert (spread_first, spread_second) == (first, second)
    assert first != second


def test_results_that_share_memory_with_each_other_alone_share_it():
    def take_apart(x):
        return functional.linear(x, torch.ones(5, 4)).unbind()

    given, first, second = memories(take_apart, torch.randn(2, 3, 4))
    assert first == second != given


def test_two_views_that_one_operation_gives_of_a_hidden_tensor_share_memory():
    class Both(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            with torch._C.DisableTorchFunctionSubclass():
                hidden = func(*[a.as_subclass(torch.Tensor) for a in args if isinstance(a, torch.Tensor)])
            return hidden[0], hidden[1]

    given, first, second = memories(torch.sin, torch.randn(2, 3).as_subclass(Both))
    assert first == second != given


def test_views_of_fake_and_of_wrapping_tensors_share_memory():
    with FakeTensorMode():
        given, view, product = memories(lambda x: (x[0], x * 2), torch.empty(2, 3))
    assert view == given != product
    given, view, product = memories(lambda x: (x[0:1], x * 2), TwoTensor(torch.ones(2, 3), torch.ones(2, 3)))
    assert view == given != product
    parts = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)], layout=torch.jagged)
    given, view = memories(lambda x: x.transpose(1, 2), parts)
    assert view == given


class Residual(nn.Module):
    """A block of a transformer as it is mostly written: the activation works in place on a product."""

    def __init__(self):
        super().__init__()
        self.up = nn.Linear(8, 8)
        self.down = nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(x + self.down(self.up(x).relu_()))


class OnlyLogged(Residual):
    """The first layer's output is changed in place and goes nowhere."""

    def forward(self, x):
        self.up(x).relu_()
        return self.head(self.down(x))


class WrittenInto(Residual):
    """What the score is made of is the memory that the first layer's output was copied into, without its history."""

    def forward(self, x):
        h = self.up(x)
        h.detach().copy_(self.down(x).detach())
        return self.head(h)


def test_an_activation_in_place_behind_a_product_leaves_what_the_layer_read_alone():
    report = gradflow.check(Residual(), inputs=torch.randn(2, 5, 8), layer=["up", "down"])
    assert report.verdict == "connected"
    assert not report.diagnostics


def test_a_product_that_is_changed_in_place_and_not_used_is_unused():
    assert gradflow.check(OnlyLogged(), inputs=torch.randn(2, 5, 8), layer="up").verdict == "unused"


def test_a_write_into_shared_memory_is_still_found_behind_a_product():
    report = gradflow.check(WrittenInto(), inputs=torch.randn(2, 5, 8), layer="down")
    assert (report.verdict, [one.code for one in report.diagnostics]) == ("broken", ["GF105"])


class LooksElsewhere(nn.Module):
    """A tensor gets other memory, by ``.data`` or ``set_``, or what lies in it is overwritten; a view of it is used."""

    def __init__(self, change):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4)
        self.change = change

    def forward(self, x):
        h = self.a(x)
        kept = h.detach().clone()
        view = kept.view(-1)
        self.change(kept, self.b(x).detach())
        return h * view.view_as(h)


def assign(kept, other):
    kept.data = other


@pytest.mark.parametrize("change", [assign, lambda kept, other: kept.set_(other)], ids=["data", "set_"])
def test_memory_that_a_tensor_lets_go_of_is_not_written_to(change):
    assert gradflow.check(LooksElsewhere(change), inputs=torch.randn(3, 4), layer="b").verdict == "unused"


@pytest.mark.parametrize(
    "change", [lambda kept, other: kept.data.copy_(other), lambda kept, other: kept.copy_(other)], ids=["data", "copy_"]
)
def test_memory_that_is_overwritten_is(change):
    assert gradflow.check(LooksElsewhere(change), inputs=torch.randn(3, 4), layer="b").verdict == "broken"
