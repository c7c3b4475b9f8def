"""Healthy networks whose layers are called, or answer, in every way that is legal.

Each takes two samples of four numbers; `fc` comes first and `head` last, and both get a gradient.
"""

from __future__ import annotations

import copy
import functools
import threading
from dataclasses import dataclass
from typing import Any

import attrs
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Base(nn.Module):
    """Between `fc` and `head` comes what the class is about."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)
        self.build()

    def build(self):
        """Make the layers in between."""

    def between(self, h):
        return h

    def forward(self, x):
        return self.head(self.between(self.fc(x)))


# --- what a layer returns ------------------------------------------------------------------------------------------


class StateOfLSTM(Base):
    def build(self):
        self.lstm = nn.LSTM(4, 4)

    def between(self, h):
        _, (state, _) = self.lstm(h[None])
        return state[0]


class Nothing(nn.Module):
    def forward(self, x):
        return None


class ReturnsNone(Base):
    def build(self):
        self.probe = Nothing()

    def between(self, h):
        self.probe(h)
        return h


class Store(nn.Module):
    """Returns nothing; what it computed lies where it was told to."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 4)

    def forward(self, x, out):
        out["h"] = self.lin(x)


class StoresElsewhere(Base):
    def build(self):
        self.store = Store()

    def between(self, h):
        out = {}
        self.store(h, out)
        return out["h"]


class Wraps(nn.Module):
    """Returns what a function makes of its output."""

    def __init__(self, make):
        super().__init__()
        self.lin = nn.Linear(4, 4)
        self.make = make

    def forward(self, x):
        return self.make(self.lin(x))


class Plain:
    def __init__(self, h):
        self.h = h


@attrs.define
class Defined:
    h: Any


@attrs.define(slots=False, frozen=True)
class Frozen:
    h: Any


@dataclass(frozen=True, slots=True)
class Data:
    h: Any


class Storage(dict[str, Any]):
    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Graph:
    """Keeps tensors in a store of its own and finds them by ``__getattr__``, as the batches of graph libraries do."""

    def __init__(self, **given):
        self.__dict__["_store"] = Storage(given)

    def __getattr__(self, name):
        if name == "_store":
            raise AttributeError(name)
        return getattr(self._store, name)


def self_referring(h):
    made = {"h": h}
    made["me"] = made
    return Storage(made)


class ReturnsObject(Base):
    make = Plain

    def build(self):
        self.wraps = Wraps(type(self).make)

    def between(self, h):
        return self.wraps(h).h


class ReturnsAttrs(ReturnsObject):
    make = Defined


class ReturnsFrozenAttrs(ReturnsObject):
    make = Frozen


class ReturnsDataclass(ReturnsObject):
    make = Data


class ReturnsGraph(ReturnsObject):
    make = functools.partial(lambda h: Graph(h=h, count=2))


class ReturnsMapping(ReturnsObject):
    make = functools.partial(lambda h: Storage(h=h))


class RefersToItself(ReturnsObject):
    make = functools.partial(self_referring)


class ReturnsGenerator(ReturnsObject):
    make = functools.partial(lambda h: (part for part in (h, h * 2)))

    def between(self, h):
        return sum(self.wraps(h))


class ReturnsFunction(ReturnsObject):
    make = functools.partial(lambda h: lambda: h)

    def between(self, h):
        return self.wraps(h)()


class Picks(nn.Module):
    def forward(self, x):
        return x.argmax(1)


class ReturnsIndices(Base):
    def build(self):
        self.picks, self.table = Picks(), nn.Embedding(4, 4)

    def between(self, h):
        return h + self.table(self.picks(h))


class Codebook(nn.Module):
    """Gives indices, and its weights are read by others."""

    def __init__(self):
        super().__init__()
        self.codes = nn.Parameter(torch.randn(5, 4))

    def forward(self, x):
        return torch.cdist(x, self.codes).argmin(1)


class Quantizes(Base):
    def build(self):
        self.book = Codebook()

    def between(self, h):
        return h + self.book.codes[self.book(h)]


class Stop(Exception):  # noqa: N818
    def __init__(self, h):
        super().__init__()
        self.h = h


class Raises(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 4)

    def forward(self, x):
        raise Stop(self.lin(x))


class CarriesInAnException(Base):
    def build(self):
        self.raises = Raises()

    def between(self, h):
        try:
            self.raises(h)
        except Stop as stop:
            h = stop.h
        return h


# --- who calls a layer ---------------------------------------------------------------------------------------------


class Recompute(torch.autograd.Function):
    """The checkpoint that comes with guided diffusion."""

    @staticmethod
    def forward(ctx, function, length, *given):
        ctx.function, ctx.inputs, ctx.parameters = function, list(given[:length]), list(given[length:])
        with torch.no_grad():
            return function(*ctx.inputs)

    @staticmethod
    def backward(ctx, *grads):
        inputs = [x.detach().requires_grad_(True) for x in ctx.inputs]
        with torch.enable_grad():
            outputs = ctx.function(*[x.view_as(x) for x in inputs])
        found = torch.autograd.grad(outputs, inputs + ctx.parameters, grads, allow_unused=True)
        return (None, None, *found)


class OwnCheckpoint(Base):
    def build(self):
        self.block = nn.Sequential(nn.Linear(4, 4), nn.SiLU(), nn.Linear(4, 4))

    def between(self, h):
        return Recompute.apply(self.block, 1, h, *self.block.parameters())


class SelfCheckpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return Recompute.apply(self._forward, 1, x, *self.parameters())

    def _forward(self, x):
        return x + self.b(nn.functional.silu(self.a(x)))


class OwnCheckpointInside(Base):
    def build(self):
        self.block = SelfCheckpointed()

    def between(self, h):
        return self.block(h)


class Passing(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        ctx.save_for_backward(x)
        return layer(x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            y = ctx.layer(x)
        return torch.autograd.grad(y, x, grad)[0], None


class InsideFunction(Base):
    def build(self):
        self.inner = nn.Linear(4, 4).requires_grad_(False)

    def between(self, h):
        return Passing.apply(h, self.inner)


class InsideVmap(Base):
    def build(self):
        self.inner = nn.Linear(4, 4)

    def between(self, h):
        return torch.func.vmap(self.inner)(h)


class ByFunctionalCall(Base):
    def build(self):
        self.inner = nn.Linear(4, 4)

    def between(self, h):
        return torch.func.functional_call(self.inner, dict(self.inner.named_parameters()), (h,))


class Ensemble(Base):
    """Runs a copy without weights over the stacked weights of the members."""

    def build(self):
        self.members = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))

    def between(self, h):
        names = dict(self.members[0].named_parameters())
        stacked = {name: torch.stack([dict(m.named_parameters())[name] for m in self.members]) for name in names}
        base = copy.deepcopy(self.members[0]).to("meta")
        run = torch.func.vmap(lambda given, x: torch.func.functional_call(base, given, (x,)), in_dims=(0, None))
        return run(stacked, h).mean(0)


class InThread(Base):
    def build(self):
        self.inner = nn.Linear(4, 4)

    def between(self, h):
        out = []
        thread = threading.Thread(target=lambda: out.append(self.inner(h)))
        thread.start()
        thread.join()
        return out[0]


class TwoNames(Base):
    def build(self):
        self.one = nn.Linear(4, 4)
        self.two = self.one

    def between(self, h):
        return self.one(self.two(h))


class FirstCallCounts(Base):
    def build(self):
        self.inner = nn.Linear(4, 4)

    def between(self, h):
        found = self.inner(h)
        self.inner(found)
        return found


class LastCallCounts(Base):
    def build(self):
        self.inner = nn.Linear(4, 4)

    def between(self, h):
        with torch.no_grad():
            self.inner(h)
        return self.inner(h)


class CallsItself(nn.Module):
    """Has its own ``__call__``, as the modules of gpytorch have."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(4))

    def __call__(self, *given):
        return self.forward(*given)

    def forward(self, x):
        return self.lin(x) * self.scale


class OwnCall(Base):
    def build(self):
        self.own = CallsItself()

    def between(self, h):
        return self.own(h)


class ForwardDirectly(Base):
    def build(self):
        self.inner = nn.Linear(4, 4)

    def between(self, h):
        return self.inner.forward(h)


class ByItsWeights(Base):
    def build(self):
        self.inner = nn.Linear(4, 4)

    def between(self, h):
        return nn.functional.linear(h, self.inner.weight, self.inner.bias)


class Attention(Base):
    def build(self):
        self.attention = nn.MultiheadAttention(4, 2)

    def between(self, h):
        return self.attention(h[None], h[None], h[None])[0][0]


class Transformer(Base):
    def build(self):
        layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)

    def between(self, h):
        return self.encoder(h[:, None])[:, 0]


class Containers(Base):
    def build(self):
        self.several = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.named = nn.ModuleDict({"a": nn.Linear(4, 4)})
        self.scales = nn.ParameterList([nn.Parameter(torch.ones(4))])

    def between(self, h):
        for layer in self.several:
            h = layer(h)
        return self.named["a"](h) * self.scales[0]


class WalkedThrough(Base):
    """A `Sequential` that is a list to its owner."""

    def build(self):
        self.blocks = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))

    def between(self, h):
        for block in self.blocks:
            h = block(h)
        return h


class ByPartial(Base):
    def build(self):
        self.inner = nn.Bilinear(4, 4, 4)

    def between(self, h):
        return functools.partial(self.inner, h)(h)


class Checkpointed(Base):
    def build(self):
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))

    def between(self, h):
        return checkpoint(self.inner, h, use_reentrant=False)


class HoldsALoss(Base):
    """What somebody else calls with the model's output has no parameters."""

    def build(self):
        self.criterion = nn.CrossEntropyLoss()


HEALTHY = [
    StateOfLSTM, ReturnsNone, StoresElsewhere, ReturnsObject, ReturnsAttrs, ReturnsFrozenAttrs, ReturnsDataclass,
    ReturnsGraph, ReturnsMapping, RefersToItself, ReturnsGenerator, ReturnsFunction, ReturnsIndices, Quantizes,
    CarriesInAnException, OwnCheckpoint, OwnCheckpointInside, InsideFunction, InsideVmap, ByFunctionalCall, Ensemble,
    InThread, TwoNames, FirstCallCounts, LastCallCounts, OwnCall, ForwardDirectly, ByItsWeights, Attention, Transformer,
    Containers, WalkedThrough, ByPartial, Checkpointed, HoldsALoss,
]  # fmt: skip
