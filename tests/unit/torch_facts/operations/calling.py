"""Runs the sample calls, on small tensors in float64 that are new for each of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional

from gradflow.torch_facts.operations.table import OPERATIONS
from tests.unit.torch_facts.operations.samples import NOT_CALLED, SAMPLES

__all__ = ["CALLED", "Call", "call", "calls_of", "function_of", "tensors_of"]

D = torch.float64


def _values() -> dict[str, Any]:
    """New tensors for each call; the entries of each differ, lie between 0.1 and 1.3, and have a gradient to give."""

    def made(*shape: int, first: float = 0.137) -> torch.Tensor:
        count = torch.Size(shape).numel()
        order = torch.randperm(count, generator=torch.Generator().manual_seed(count))
        entries = first + order.to(D) / count * 0.8
        return entries.reshape(shape).clone().requires_grad_()

    return {
        "torch": torch, "D": D, "print": print,
        "x": made(3, 4), "y": made(3, 4, first=0.21), "p": made(3, 4, first=0.11), "w": made(3, 4, first=0.3),
        "s": made(3, 3), "q": made(3, 3, first=0.23), "d": made(3, 3, first=0.3),
        "v": made(3, first=0.151), "u": made(3, first=0.2),
        "b": made(2, 3, 4), "b2": made(2, 4, 3), "e": made(2, 3, 3), "h": made(1, 2, 3, 4),
        "c1": made(2, 3, 6), "c2": made(2, 3, 4, 4), "c3": made(2, 3, 4, 4, 4),
        "k1": made(2, 3, 2), "k2": made(2, 3, 2, 2), "k3": made(2, 3, 2, 2, 2),
        "i": torch.tensor([2, 0, 1]), "j": torch.tensor([2, 0]),
        "z": torch.complex(made(3, 4).detach(), made(3, 4).detach()).requires_grad_(),
    }  # fmt: skip


@dataclass(kw_only=True)
class Call:
    """What a function was given, what it gave, and what was made besides."""

    function: Any
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)
    result: Any = None
    versions: tuple[int, ...] = ()

    @property
    def first(self) -> torch.Tensor | None:
        """The first tensor that it was given."""
        return next(iter(tensors_of(self.arguments)), None)

    @property
    def results(self) -> list[torch.Tensor]:
        return tensors_of(self.result)


def tensors_of(value: Any) -> list[torch.Tensor]:
    """The tensors in nested tuples and lists."""
    if isinstance(value, torch.Tensor):
        return [value]
    return [one for part in value for one in tensors_of(part)] if isinstance(value, (tuple, list)) else []


def function_of(name: str, *, method: bool = False) -> Callable[..., Any]:
    """The function behind a name, as a person calls it; for a property one that reads it."""
    if name.startswith(("linalg_", "fft_", "special_")):
        package, _, rest = name.partition("_")
        return getattr(getattr(torch, package), rest)
    own = {"Parameter": torch.nn.Parameter, "Variable": torch.autograd.Variable, "Tensor": torch.Tensor}
    if name in own:
        return own[name]
    is_of_tensor = method or name.startswith("__")
    homes = (torch.Tensor,) if is_of_tensor else (functional, torch, torch.Tensor, torch.utils.dlpack, torch.ops.aten)
    found = [getattr(home, name) for home in homes if hasattr(home, name)]
    if not found:
        raise LookupError(name)
    is_property = name in ("device", "dtype", "layout")  # which are classes of torch as well
    return next((one for one in found if callable(one) and not is_property), lambda tensor: getattr(tensor, name))


def _resolved(name: str, *, method: bool = False) -> Callable[..., Any]:
    """The operation itself; where torch has none, the one that writes in place."""
    try:
        return function_of(f"{name}_" if name == "requires_grad" else name, method=method)
    except LookupError:
        return function_of(f"{name}_", method=method)


_TEXTS = {
    name: tuple(each.strip() for each in rest.split(";"))
    for name, _, rest in (line.partition(": ") for line in SAMPLES.strip().splitlines())
}


def calls_of(name: str) -> tuple[str, ...]:
    """The calls by which an operation is tried: its own, or with one tensor, or with two."""
    if name in _TEXTS:
        return _TEXTS[name]
    try:
        call(name, "f(x)")
    except TypeError:
        return ("f(x, y)",)
    return ("f(x)",)


def call(name: str, text: str, *, seed: int = 0, change: Callable[[list[torch.Tensor]], None] | None = None) -> Call:
    """Run one of them on new tensors; ``change`` may move what is given before."""
    made = Call(function=None)

    def run(function: Any) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            made.function, made.arguments, made.keywords = function, args, kwargs
            if change is not None:
                change(tensors_of(args))
            torch.manual_seed(seed)
            given = [tensor for tensor in tensors_of(args) if not tensor.is_inference()]
            before = [tensor._version for tensor in given]
            made.result = function(*args, **kwargs)
            made.versions = tuple(one._version - old for one, old in zip(given, before, strict=True))
            return made.result

        return called

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = _values() | {"f": run(_resolved(name))}
        if "m(" in text:
            values["m"] = run(_resolved(name, method=True))
        eval(text, values)
    return made


CALLED = sorted(OPERATIONS.keys() - NOT_CALLED.keys())
"""The operations that are called."""
