"""Watches ``backward`` and ``torch.autograd.grad``: what was asked for, and what came."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from gradflow.trace.patches import replace, replace_function
from gradflow.watch.events import Backward
from gradflow.watch.observers.backward_notes import BackwardNotes, KnownFlows
from gradflow.watch.observers.log import Log
from gradflow.watch.observers.measuring import measure
from gradflow.watch.observers.recording import ProgramRecorder

__all__ = ["BackwardCalls"]

_LEAVES_WATCHED = 512


class BackwardCalls:
    """Patches for the time of a program; a call that one of them makes through the other is seen once."""

    def __init__(
        self, recorder: ProgramRecorder, log: Log, *, before: Callable[[], None], after: Callable[[], None]
    ) -> None:
        self._recorder = recorder
        self._log = log
        self._before = before
        self._after = after
        self._busy = False
        self._left: dict[int, tuple[weakref.ref[Any], weakref.ref[Any], int]] = {}
        self._known: KnownFlows = {}
        self._packs_saved = False

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Put the patches on, and off again."""
        with contextlib.ExitStack() as stack:
            replace_function(stack, torch.autograd, "backward", self._watched(torch.autograd.backward, "backward"))
            replace_function(stack, torch.autograd, "grad", self._watched(torch.autograd.grad, "grad"))
            replace(stack, torch.Tensor, "backward", self._announced(torch.Tensor.backward))
            push = torch._C._autograd._push_saved_tensors_default_hooks
            replace(stack, torch._C._autograd, "_push_saved_tensors_default_hooks", self._noted(push))
            yield

    def _noted(self, push: Callable[..., Any]) -> Callable[..., Any]:
        """Saved tensors that are packed (by checkpointing, for one) can be unpacked once only: hands off from then."""

        def call(*args: Any) -> Any:
            self._packs_saved = True
            return push(*args)

        return call

    def _announced(self, original: Callable[..., None]) -> Callable[..., None]:
        """``Tensor.backward`` as the program calls it; torch puts the recorder aside as soon as that begins."""

        @functools.wraps(original)
        def backward(*args: Any, **kwargs: Any) -> None:
            if not self._busy and self._recorder.is_own_thread():
                self._before()
            return original(*args, **kwargs)

        self._recorder.passed_through.add(backward)
        return backward

    def _watched(self, original: Callable[..., Any], kind: Any) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if not self._recorder.is_own_thread():
                self._log.elsewhere += not _is_internal(sys._getframe(1))
                return original(*args, **kwargs)
            if not self._busy:
                self._before()
            if self._busy or self._recorder.is_off():
                return original(*args, **kwargs)
            self._busy = True
            try:
                if _is_internal(sys._getframe(1)):
                    return original(*args, **kwargs)
                return self._call(original, kind, args, kwargs)
            finally:
                self._busy = False
                self._after()

        call.__wrapped__ = original  # type: ignore[attr-defined]
        call.__name__ = kind
        # torch hands a function mode whatever goes by this name in its module
        self._recorder.passed_through.add(call)
        return call

    def _call(self, original: Callable[..., Any], kind: Any, args: Any, kwargs: Any) -> Any:
        recorder, log = self._recorder, self._log
        names = ("tensors", "grad_tensors", "retain_graph", "create_graph", "grad_variables", "inputs")
        if kind == "grad":
            names = ("outputs", "inputs", "grad_outputs", "retain_graph", "create_graph", "only_inputs")
        args, kwargs = _listed(names, args, kwargs)
        given = dict(zip(names, args, strict=False)) | kwargs
        roots = _tensors(given.get(names[0]))
        inputs = _tensors(given.get("inputs"))
        site = recorder.sites.number(sys._getframe(2))
        scores = tuple(recorder.value_of(root) for root in roots)
        score = recorder.record_scores(site, scores) if len(scores) > 1 else next(iter(scores), -1)
        event = Backward(
            kind=kind,
            site=site,
            operation=len(recorder.operations.name),
            roots=scores,
            score=score,
            roots_require_grad=any(root.requires_grad for root in roots),
            root_is_leaf=bool(roots) and all(root.is_leaf for root in roots),
            inputs=tuple(recorder.value_of(tensor) for tensor in inputs),
            inputs_require_grad=tuple(tensor.requires_grad for tensor in inputs),
            create_graph=bool(given.get("create_graph")),
            allow_unused=bool(given.get("allow_unused")),
            kept=self._still_there() if kind == "backward" else (),
        )
        notes = BackwardNotes(
            recorder,
            roots,
            inputs,
            number=len(log.backwards),
            known=self._known,
            reads_saved=not self._packs_saved,
        )
        log.backwards.append(event)
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            event.error_type, event.error = type(error).__name__, " ".join(str(error).split())
            notes.fail(event)
            raise
        if kind == "grad":
            results = list(result)
            event.results = tuple(measure(gradient) for gradient in results)
            event.result_values = recorder.record_gradients(event.site, (*event.roots, *event.inputs), results)
            for value, of in zip(event.result_values, event.inputs, strict=False):
                if value >= 0:
                    log.gradient_of[value] = of
        notes.finish(event)
        if kind == "backward":
            self._remember(notes.leaves)
        return result

    def _still_there(self) -> tuple[int, ...]:
        """The tensors whose ``.grad`` is what an earlier backward left, unchanged since."""
        kept = []
        for key, (tensor_reference, gradient_reference, version) in list(self._left.items()):
            tensor = tensor_reference()
            gradient = gradient_reference()
            if tensor is None:
                del self._left[key]
                continue
            with torch._C.DisableTorchFunction():
                same = gradient is not None and tensor.grad is gradient and gradient._version == version
            if same:
                kept.append(self._recorder.value_of(tensor))
        return tuple(kept)

    def _remember(self, leaves: Sequence[torch.Tensor]) -> None:
        for leaf in leaves[:_LEAVES_WATCHED]:
            with torch._C.DisableTorchFunction():
                gradient = leaf.grad
            if gradient is not None:
                self._left[id(leaf)] = (weakref.ref(leaf), weakref.ref(gradient), gradient._version)


def _is_internal(caller: FrameType) -> bool:
    """Whether torch asks for its own purposes (`torch.func`, `jacobian`), or numbers cannot be read now."""
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return True
    path = caller.f_code.co_filename
    return path.startswith(_TORCH) and not path.endswith("_tensor.py")


_TORCH = str(Path(torch.__file__).parent) + os.sep


def _listed(names: Sequence[str], args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments, with ``model.parameters()`` as a list: it can be gone through only once."""
    positional = tuple(
        list(value) if name == "inputs" and isinstance(value, Iterator) else value
        for name, value in itertools.zip_longest(names[: len(args)], args)
    )
    by_name = {
        name: list(value) if name == "inputs" and isinstance(value, Iterator) else value
        for name, value in kwargs.items()
    }
    return positional, by_name


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Sequence):
        return [item for item in value if isinstance(item, torch.Tensor)]
    return []
