"""Runs a float32 model in float64 without touching it.

Parameters, buffers and inputs are replaced by copies for the time of a call. Tensors that a module keeps as plain
attributes, tensors that it makes, and casts to lower precision are caught on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from gradflow.load.module_tree import named_buffers_in, named_parameters_in
from gradflow.record.backward.walk import walk
from gradflow.record.conduct.whose_error import run_theirs
from gradflow.torch_facts.operations.queries import gives_argument_back
from gradflow.torch_facts.operations.table import spellings
from gradflow.torch_facts.tensor_slots import method
from gradflow.values import first_tensor, mapped, tensors_in

__all__ = ["DoubleCopies", "DoublePrecision", "in_double", "with_state"]

_WIDE = {
    **dict.fromkeys((torch.float32, torch.float16, torch.bfloat16), torch.float64),
    **dict.fromkeys((torch.complex64, torch.complex32), torch.complex128),
}
_WIDEST = frozenset(_WIDE.values())
_CASTS: dict[str, Any] = {
    **dict.fromkeys(spellings("to-real"), torch.Tensor.double),
    **dict.fromkeys(spellings("to-complex"), method("cdouble")),
}


class DoublePrecision(TorchFunctionMode):
    """Gives every operation float64 where it was to work with less, and calls ``after`` when it has run.

    Some work in less all the same: what a custom Function makes, and what is written into memory that was made
    elsewhere, by NumPy or by ``torch.FloatTensor``. ``on_rounded`` is called where that happens to a value.
    """

    def __init__(self, after: Callable[[], None] | None = None, on_rounded: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._after = after
        self._on_rounded = on_rounded

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = self._in_double(func, args, kwargs or {})
        if self._after is not None:
            self._after()
        return result

    @contextmanager
    def during_backward(self, root: torch.autograd.graph.Node) -> Iterator[None]:
        """Take part in a backward from ``root``: a checkpoint runs the forward again there, and so may a Function.

        Torch takes a mode aside for the call of ``torch.autograd.grad``, so it begins anew with each node.
        """
        thread = get_ident()

        def begin(*_: Any) -> None:
            if get_ident() == thread:
                self.__enter__()  # type: ignore[no-untyped-call]

        def end(*_: Any) -> None:
            if get_ident() == thread:
                self.__exit__(None, None, None)  # type: ignore[no-untyped-call]

        handles = []
        for node in walk(root):
            handles += [node.register_prehook(begin), node.register_hook(end)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _in_double(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = str(getattr(func, "__name__", ""))
        if name in ("__get__", "__set__", "requires_grad_"):
            return run_theirs(func, args, kwargs)
        if name in _CASTS and args:
            return run_theirs(_CASTS[name], args[:1])
        # what is changed in place has to stay the same object
        kept = args[:1] if gives_argument_back(name) else ()
        if kept or "out" in kwargs:
            self._note_write((*kept, kwargs.get("out")), (args[len(kept) :], kwargs))
        rest = tuple(in_double(value, self._note_history) for value in args[len(kept) :])
        # what is written to `out` has to stay the same object, too
        keywords = {
            key: value if key == "out" else in_double(value, self._note_history) for key, value in kwargs.items()
        }
        dtype = None if kept else _dtype_in_double(func, rest, keywords)
        if dtype is not None:
            keywords["dtype"] = dtype
        return run_theirs(func, (*kept, *rest), keywords)

    def _note_write(self, written: Any, read: Any) -> None:
        if self._on_rounded is None or not any(one.dtype in _WIDE for one in tensors_in(written)):
            return
        if any(one.dtype in _WIDEST for one in tensors_in(read)):
            self._on_rounded()

    def _note_history(self, narrow: torch.Tensor) -> None:
        if self._on_rounded is not None and narrow.grad_fn is not None:
            self._on_rounded()


def _dtype_in_double(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.dtype | None:
    """The dtype for a call that would make a tensor of the default one, such as `torch.zeros(3)`; else none.

    The default dtype itself cannot be changed for one thread only. What the call makes is tried without data, so that
    it draws no random numbers.
    """
    if kwargs.get("dtype") is not None or "out" in kwargs or first_tensor((args, kwargs)) is not None:
        return None
    try:
        made = func(*args, **{**kwargs, "device": "meta", "dtype": None})
    except (TypeError, ValueError, RuntimeError, NotImplementedError):  # makes no tensor in this way
        return None
    if not isinstance(made, torch.Tensor):
        return None
    return _WIDE.get(made.dtype)


def in_double(value: Any, look: Callable[[torch.Tensor], None] | None = None) -> Any:
    """The same with float64 in place of lower precision: tensors, dtypes, and whatever holds them.

    ``look`` is shown the tensors of lower precision.
    """

    def doubled(part: Any) -> Any:
        if isinstance(part, torch.Tensor):
            if part.dtype not in _WIDE:
                return part
            if look is not None:
                look(part)
            return part.to(_WIDE[part.dtype])
        return _WIDE.get(part, part) if isinstance(part, torch.dtype) else part

    return mapped(value, doubled)


def with_state(model: nn.Module, state: Mapping[str, torch.Tensor], compute: Callable[[], Any]) -> Any:
    """What ``compute`` gives while a model has other parameters and buffers, by name; a backward in it has them too."""
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError("the parameters of a TorchScript module cannot be replaced")
    return functional_call(_Around(model, compute), {f"model.{name}": tensor for name, tensor in state.items()}, ())


class _Around(nn.Module):
    """Holds a model for the time of a computation."""

    def __init__(self, model: nn.Module, compute: Callable[[], Any]) -> None:
        super().__init__()
        self._compute = compute
        self._modules["model"] = model

    def forward(self) -> Any:
        return self._compute()


class DoubleCopies:
    """Parameters and buffers of a model by name, as copies in float64 where they are floating point.

    Parameters are copied once, buffers, which a forward may change, each time that they are asked for.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._parameters: dict[str, torch.Tensor] = {}
        self._versions: list[int] = []

    def fresh(self) -> dict[str, torch.Tensor]:
        """All of them by name, shared ones as one tensor."""
        if not self._parameters or self._versions != [tensor._version for tensor in self._parameters.values()]:
            self._parameters = _copies(named_parameters_in(self._model, remove_duplicate=False))
            self._versions = [tensor._version for tensor in self._parameters.values()]
        return {**self._parameters, **_copies(named_buffers_in(self._model, remove_duplicate=False))}


def _copies(named: Iterable[tuple[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    copies: dict[int, torch.Tensor] = {}
    found = {}
    for name, tensor in named:
        if id(tensor) not in copies:
            plain = tensor.detach()
            copy = plain.to(_WIDE[plain.dtype]) if plain.dtype in _WIDE else plain.clone()
            copies[id(tensor)] = copy.requires_grad_(tensor.requires_grad)
        found[name] = copies[id(tensor)]
    return found
