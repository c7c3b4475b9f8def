"""A layer that was called and of which no tensor came back is neither used nor unused, and is not said to be idle."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow


class Head(nn.Module):
    """A layer `part` of some kind between two others; what it leaves behind is read with `read`."""

    def __init__(self, part, read):
        super().__init__()
        self.stem, self.part, self.out = nn.Linear(3, 3), part, nn.Linear(3, 1)
        self.read = read

    def forward(self, x):
        return self.out(self.read(self.part, self.stem(x)))


class FillsMemory(nn.Module):
    def __init__(self):
        super().__init__()
        self.memory, self.lin = {}, nn.Linear(3, 3)

    def forward(self, x):
        self.memory["last"] = self.lin(x).tanh()
        return len(self.memory)


class Opaque:
    """Keeps its tensor where no walk over attributes finds it."""

    __slots__ = ("get",)

    def __init__(self, tensor):
        self.get = lambda: tensor


class HandsOutOpaque(nn.Module):
    def forward(self, x):
        return Opaque(x * 2)


class Refuses(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.lin, self.error = nn.Linear(3, 3), error

    def forward(self, x):
        self.lin(x)
        raise self.error


def fill(part, h):
    part(h)
    return part.memory["last"]


def open_up(part, h):
    return part(h).get()


def fall_back(part, h):
    try:
        return part(h)
    except (ValueError, KeyError):
        return h


def fall_back_from_nested(part, h):
    try:
        {}["missing"]
    except LookupError:
        return fall_back(part, h)


class Runs(torch.autograd.Function):
    @staticmethod
    def forward(ctx, part, x):
        ctx.part, ctx.x = part, x.detach()
        return part(x)

    @staticmethod
    def backward(ctx, gradient):
        x = ctx.x.requires_grad_()
        with torch.enable_grad():
            y = ctx.part(x)
        return None, torch.autograd.grad(y, x, gradient)[0]


CALLED = {
    "a number": (FillsMemory, fill, "`int`"),
    "an object": (HandsOutOpaque, open_up, "`Opaque`"),
    "raised": (lambda: Refuses(ValueError("no")), fall_back, "raised `ValueError`"),
    "raised while another exception is handled": (
        lambda: Refuses(KeyError("k")),
        fall_back_from_nested,
        "raised `KeyError`",
    ),
    "inside a Function": (lambda: nn.Linear(3, 3), Runs.apply, "inside `Runs.apply`"),
}


@pytest.mark.parametrize("way", CALLED)
def test_a_called_layer_without_an_output_is_not_determined(way):
    make, read, said = CALLED[way]
    report = gradflow.check(Head(make(), read), "part", inputs=torch.randn(2, 3))
    assert report.verdict == "not determined"
    assert not report.diagnostics
    assert said in report.undetermined[0]
    assert report.exit_code == 1


def test_a_layer_that_returns_while_an_exception_is_handled_has_not_raised():
    def in_handler(part, h):
        try:
            {}["missing"]
        except LookupError:
            return part(h)

    report = gradflow.check(Head(nn.Linear(3, 3), in_handler), "part", inputs=torch.randn(2, 3))
    assert report.verdict == "connected"


def test_a_layer_that_raises_once_and_is_called_again_is_connected():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin, self.calls = nn.Linear(3, 3), 0

        def forward(self, x):
            if x.dim() == 3:
                raise ValueError("two dimensions")
            return self.lin(x)

    def retry(part, h):
        try:
            return part(h[None])
        except ValueError:
            return part(h)

    assert gradflow.check(Head(Twice(), retry), "part", inputs=torch.randn(2, 3)).verdict == "connected"


def test_a_layer_that_is_really_left_out_is_unused_beside_a_module_without_a_name():
    class MakesItsOwn(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin, self.spare = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            return nn.Sequential(nn.GELU())(self.lin(x))

    report = gradflow.check(MakesItsOwn(), "spare", inputs=torch.randn(2, 3))
    assert report.verdict == "unused"
    assert [one.code for one in report.diagnostics] == ["GF301"]


class Kernelled(nn.Module):
    """Calls its forward itself, as kernels of Gaussian processes do."""

    def __init__(self):
        super().__init__()
        self.scale, self.inner, self.idle = nn.Parameter(torch.ones(3)), nn.Linear(3, 3), nn.Linear(3, 3)

    def __call__(self, x):
        return self.forward(x)

    def forward(self, x):
        return self.inner(x) * self.scale


class CallsThrough(nn.Module):
    """Has a `__call__` of its own that ends in torch's."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(3, 3)

    def __call__(self, x):
        return super().__call__(x * 2)

    def forward(self, x):
        return self.lin(x)


class Owns(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.stem, self.part, self.out = nn.Linear(3, 3), part, nn.Linear(3, 1)

    def forward(self, x):
        return self.out(self.part(self.stem(x)))


class OwnsIdle(Owns):
    def forward(self, x):
        return self.out(self.stem(x))


def test_a_module_that_calls_itself_past_the_hooks_is_not_determined():
    report = gradflow.check(Owns(Kernelled()), "part", inputs=torch.randn(2, 3))
    assert report.verdict == "not determined"
    assert not report.diagnostics
    assert "`__call__` of its own" in report.undetermined[0]


def test_what_runs_inside_it_is_connected_and_what_does_not_is_unused():
    model = Owns(Kernelled())
    assert gradflow.check(model, "part.inner", inputs=torch.randn(2, 3)).verdict == "connected"
    report = gradflow.check(model, "part.idle", inputs=torch.randn(2, 3))
    assert report.verdict == "unused"
    assert not any("which never ran" in note for one in report.diagnostics for note in one.notes)


def test_a_module_with_its_own_call_that_ends_in_torchs_is_connected():
    assert gradflow.check(Owns(CallsThrough()), "part", inputs=torch.randn(2, 3)).verdict == "connected"


def test_a_module_with_its_own_call_that_nobody_calls_is_unused():
    assert gradflow.check(OwnsIdle(Kernelled()), "part", inputs=torch.randn(2, 3)).verdict == "unused"
