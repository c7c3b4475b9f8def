"""Notes what the user's own code does while it builds a model, and where.

Nothing is changed and nothing is kept alive: parameters and modules are remembered by weak references.
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

import torch
from torch.overrides import TorchFunctionMode

from gradflow.load.module_tree import named_modules_in, named_parameters_in
from gradflow.load.registrations import registrations
from gradflow.load.workload import Provenance
from gradflow.location import SiteTable, SourceSpan
from gradflow.program_warnings import warnings_as_without_gradflow
from gradflow.torch_facts.settings.of_thread import set_grad_enabled

__all__ = ["BuildObserver"]

# the parts of a tensor's class have no Python-visible type; the setter compares equal, it is not identical
_requires_grad_setter: Any = torch.Tensor.requires_grad.__set__  # type: ignore[attr-defined]
_requires_grad_method: Any = torch.Tensor.requires_grad_
_detach_in_place: Any = torch.Tensor.detach_


class _Notes:
    """The last site at which each thing happened."""

    def __init__(self) -> None:
        self.sites = SiteTable()
        self.frozen: dict[int, tuple[weakref.ref[torch.Tensor], int]] = {}
        self.registered: dict[tuple[int, str], tuple[weakref.ref[torch.nn.Module], int]] = {}
        self.grad_mode_site = -1
        self.inference_sites: list[int] = []

    def here(self) -> int:
        return self.sites.number(sys._getframe(2))

    def set_requires_grad(self, tensor: object, wanted: object, site: int) -> None:
        if isinstance(tensor, torch.Tensor):
            if wanted:
                self.frozen.pop(id(tensor), None)
            else:
                self.frozen[id(tensor)] = (weakref.ref(tensor), site)


class _NotingMode(TorchFunctionMode):
    """Sees ``requires_grad`` and grad mode being set; passes every call on unchanged."""

    def __init__(self, notes: _Notes) -> None:
        super().__init__()
        self.notes = notes

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        was_enabled = torch.is_grad_enabled()
        result = func(*args, **kwargs) if kwargs else func(*args)
        if func is set_grad_enabled:
            # the end of a `with` block only puts back what was before
            if was_enabled and not args[0] and sys._getframe(1).f_code.co_name != "__exit__":
                self.notes.grad_mode_site = self.notes.here()
        elif func is _requires_grad_method:
            wanted = args[1] if len(args) > 1 else (kwargs or {}).get("requires_grad", True)
            self.notes.set_requires_grad(args[0], wanted, self.notes.here())
        elif func is _detach_in_place:
            self.notes.set_requires_grad(args[0], wanted=False, site=self.notes.here())
        elif func == _requires_grad_setter:
            self.notes.set_requires_grad(args[0], args[1], self.notes.here())
        return result


class BuildObserver:
    """Context manager around the user's import and factory; afterwards :meth:`provenance` says what was seen."""

    def __init__(self) -> None:
        self._notes = _Notes()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        notes = self._notes

        def module_registered(parent: torch.nn.Module, name: str, child: object) -> None:
            if isinstance(child, torch.nn.Module):
                notes.registered[id(parent), name] = (weakref.ref(parent), notes.here())

        def parameter_registered(_parent: torch.nn.Module, _name: str, parameter: object) -> None:
            # a parameter made with `requires_grad=False` was frozen where it was made, which is where it is attached
            is_frozen = isinstance(parameter, torch.Tensor) and not parameter.requires_grad
            if is_frozen and id(parameter) not in notes.frozen:
                notes.set_requires_grad(parameter, wanted=False, site=notes.here())

        def buffer_registered(parent: torch.nn.Module, name: str, _buffer: object) -> None:
            notes.registered[id(parent), name] = (weakref.ref(parent), notes.here())

        registering = registrations(
            modules=module_registered, parameters=parameter_registered, buffers=buffer_registered
        )
        self._stack.enter_context(registering)
        self._stack.enter_context(_inference_mode_noted(notes))
        self._stack.enter_context(warnings_as_without_gradflow())
        self._stack.enter_context(_NotingMode(notes))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def provenance(self, model: torch.nn.Module) -> Provenance:
        """What was seen of ``model``, by qualified name."""
        notes = self._notes
        spans = notes.sites.spans()
        return Provenance(
            frozen_at=_frozen_at(model, notes, spans),
            registered_at=_registered_at(model, notes, spans),
            grad_mode_at=_grad_mode_at(notes, spans),
        )


@contextlib.contextmanager
def _inference_mode_noted(notes: _Notes) -> Iterator[None]:
    """Inference mode is invisible to torch function modes: wrap its entry and exit."""
    region = torch.inference_mode
    enter, leave = region.__enter__, region.__exit__

    def noted_enter(self: Any) -> Any:
        notes.inference_sites.append(notes.here())
        return enter(self)

    def noted_leave(self: Any, *error: Any) -> Any:
        if notes.inference_sites:
            notes.inference_sites.pop()
        return leave(self, *error)

    region.__enter__, region.__exit__ = noted_enter, noted_leave  # type: ignore[method-assign]
    try:
        yield
    finally:
        region.__enter__, region.__exit__ = enter, leave  # type: ignore[method-assign]


def _frozen_at(model: torch.nn.Module, notes: _Notes, spans: tuple[SourceSpan, ...]) -> dict[str, SourceSpan]:
    found = {}
    for name, parameter in named_parameters_in(model, remove_duplicate=False):
        reference, site = notes.frozen.get(id(parameter), (None, -1))
        # an id is used again once its first owner is gone
        if reference is not None and reference() is parameter and site >= 0 and not parameter.requires_grad:
            found[name] = spans[site]
    return found


def _registered_at(model: torch.nn.Module, notes: _Notes, spans: tuple[SourceSpan, ...]) -> dict[str, SourceSpan]:
    found = {}
    for prefix, parent in named_modules_in(model, remove_duplicate=False):
        for name in (*parent._modules.keys(), *parent._buffers.keys()):
            reference, site = notes.registered.get((id(parent), name), (None, -1))
            if reference is not None and reference() is parent and site >= 0:
                found[f"{prefix}.{name}" if prefix else name] = spans[site]
    return found


def _grad_mode_at(notes: _Notes, spans: tuple[SourceSpan, ...]) -> SourceSpan | None:
    site = -1
    if torch.is_inference_mode_enabled() and notes.inference_sites:
        site = notes.inference_sites[-1]
    elif not torch.is_grad_enabled():
        site = notes.grad_mode_site
    return spans[site] if site >= 0 else None
