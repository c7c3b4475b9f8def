"""Watches ``backward`` and ``torch.autograd.grad``: what was asked for, and what came."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import sys
import weakref
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from gradflow.record.conduct.aside import Operation
from gradflow.record.conduct.raised_by import is_own_raise
from gradflow.record.conduct.their_exceptions import text_of, traceback_of
from gradflow.record.failure import innermost_place
from gradflow.record.operations.tensor_facts import gradient_of, is_leaf, requires_grad, version_of
from gradflow.record.patches import OwnNames, replace, replace_function
from gradflow.record.program.backward_notes import BackwardNotes, KnownFlows
from gradflow.record.program.callers import caller_of
from gradflow.record.program.depth.history import History
from gradflow.record.program.exceptions.caught import Caught, Undecided, tell_when_dropped
from gradflow.record.program.exceptions.expected import is_expected
from gradflow.record.program.log import Log
from gradflow.record.program.measuring import measure
from gradflow.record.program.operations.rows import add_gradients, add_scores
from gradflow.record.recorder import Recorder
from gradflow.recording.gradients import Measured
from gradflow.recording.program.events import Backward
from gradflow.torch_facts.differentiated import ARGUMENTS, items_of
from gradflow.torch_facts.settings.saved_tensor_hooks import PUSHING
from gradflow.torch_facts.transforms import is_in_transform

__all__ = ["BackwardCalls"]


class BackwardCalls:
    """Patches for the time of a program; a call that one of them makes through the other is seen once."""

    def __init__(self, recorder: Recorder, log: Log, *, before: Callable[[], None], after: Callable[[], None]) -> None:
        self._recorder = recorder
        self._log = log
        self._before = before
        self._after = after
        self.undecided = Undecided()
        self._busy = False
        self._left: dict[int, tuple[weakref.ref[Any], weakref.ref[Any], int]] = {}
        self._known: KnownFlows = {}
        self._history = History(recorder.tables)
        self._packs_saved = False
        recorder.tables.on_stop.append(self._left.clear)

    @contextlib.contextmanager
    def watching(self, own: OwnNames) -> Iterator[None]:
        """Put the patches on, and off again."""
        around = self._recorder.aside.around
        with contextlib.ExitStack() as stack:
            # torch hands a function mode whatever goes by these names in its modules
            for name in ("backward", "grad"):
                watch = functools.partial(self._watch, name)
                watched = around(watch, getattr(torch.autograd, name))
                replace_function(stack, torch.autograd, name, watched, own)
                self._recorder.pass_through(watched)
            announced = around(self._announce, torch.Tensor.backward)
            replace(stack, torch.Tensor, "backward", announced)
            self._recorder.pass_through(announced)
            replace(stack, *PUSHING, around(self._note_packing, getattr(*PUSHING)))
            yield

    def _note_packing(self, operation: Operation, /, *args: Any) -> Any:
        """Saved tensors that are packed (by checkpointing, for one) can be unpacked once only: hands off from then."""
        self._packs_saved = True
        return operation(*args)

    def _announce(self, operation: Operation, /, *args: Any, **kwargs: Any) -> Any:
        """``Tensor.backward`` as the program calls it; torch puts the recorder aside as soon as that begins."""
        if not self._busy and self._recorder.is_own_thread():
            self._before()
        return operation(*args, **kwargs)

    def _watch(self, kind: Any, operation: Operation, /, *args: Any, **kwargs: Any) -> Any:
        caller = caller_of(sys._getframe(1))
        if not self._recorder.is_own_thread():
            if not _is_internal(caller):
                self._log.note_elsewhere("backward passes")
            return operation(*args, **kwargs)
        if not self._busy:
            self._before()
        if self._busy or self._recorder.is_off():
            return operation(*args, **kwargs)
        self._busy = True
        try:
            if _is_internal(caller):
                self._log.is_transformed = True
                return operation(*args, **kwargs)
            return self._call(operation, caller, kind, args, kwargs)
        finally:
            self._busy = False
            self._after()

    def forget(self, tensor: torch.Tensor) -> None:
        """Refer to a tensor no more, not even weakly."""
        self._left.pop(id(tensor), None)

    def _call(self, operation: Operation, caller: FrameType | None, kind: Any, args: Any, kwargs: Any) -> Any:
        recorder, log = self._recorder, self._log
        names = ARGUMENTS[kind]
        given = dict(zip(names, args, strict=False)) | kwargs
        asked, outputs = dict[str, tuple[Any, ...]](), names[0]
        is_whole = True
        for name in (outputs, "inputs"):
            items, passed_on = items_of(given.get(name))
            asked[name], is_whole = items or (), is_whole and items is not None
            if name in kwargs:
                kwargs = {**kwargs, name: passed_on}
            elif name in given:
                at = names.index(name)
                args = (*args[:at], passed_on, *args[at + 1 :])
        if not is_whole:
            return operation(*args, **kwargs)  # raises before autograd is asked for anything
        roots = _tensors(asked[outputs])
        inputs = [item if _is_tensor(item) else None for item in asked["inputs"]]
        site = recorder.sites.number(sys._getframe(1))
        # of an edge it is not known which value's it is, and so not what was differentiated
        is_known = len(roots) == len(asked[outputs])
        scores = tuple(recorder.value_of(root) for root in roots) if is_known else ()
        score = add_scores(recorder.tables, site, scores) if len(scores) > 1 else next(iter(scores), -1)
        began = Backward(
            kind=kind,
            site=site,
            operation=len(recorder.operations.name),
            roots=scores,
            score=score,
            roots_require_grad=any(map(requires_grad, roots)) or not is_known,
            root_is_leaf=is_known and bool(roots) and all(map(is_leaf, roots)),
            inputs=tuple(-1 if tensor is None else recorder.value_of(tensor) for tensor in inputs),
            inputs_require_grad=tuple(tensor is None or requires_grad(tensor) for tensor in inputs),
            create_graph=bool(given.get("create_graph")),
            allow_unused=bool(given.get("allow_unused")),
            fills_zeros=bool(given.get("materialize_grads")),
            kept=self._still_there() if kind == "backward" else (),
            seed_is_zero=_are_zero(_seeds(given.get("grad_tensors" if kind == "backward" else "grad_outputs"))),
        )
        passes, number = log.backwards, len(log.backwards)
        notes = BackwardNotes(
            recorder,
            asked[outputs],
            inputs,
            number=number,
            known=self._known,
            reads_saved=not self._packs_saved,
            is_batched=bool(given.get("is_grads_batched")),
            history=self._history,
        )
        passes.append(began)
        log.running_backward = number
        try:
            result = operation(*args, **kwargs)
        except BaseException as error:
            passes[number] = failed = dataclasses.replace(
                began,
                error_type=type(error).__name__,
                error=" ".join(text_of(error).split()),
                raised_in=innermost_place(traceback_of(error)),
                is_torchs_error=not is_own_raise(error),
                is_expected=is_expected(caller, error),
            )
            tell_when_dropped(
                operation.below,
                caller,
                functools.partial(_note_caught, passes, number),
                self._recorder.aside.looking,
                self.undecided,
            )
            passes[number] = notes.failed(failed)
            raise
        finally:
            log.running_backward = -1
        if kind == "grad":
            passes[number] = began = self._with_results(
                began, list(result.values() if type(result) is dict else result)
            )
        leaves = notes.leaves
        for leaf in leaves:
            value = recorder.known_value(leaf)
            if value >= 0:
                log.note_flag(value, known=recorder.values.requires_grad[value], met=requires_grad(leaf))
        passes[number] = ended = notes.finished(began)
        if ended.fills_zeros and notes.is_graph_known:
            # zeros that torch has filled in for what the score does not depend on are no gradient
            results = (
                measured if value < 0 or value in ended.in_graph else Measured(arrived=False)
                for measured, value in zip(ended.results, ended.inputs, strict=True)
            )
            passes[number] = dataclasses.replace(ended, results=tuple(results))
        if kind == "backward":
            self._remember(leaves)
        return result

    def _with_results(self, backward: Backward, results: list[Any]) -> Backward:
        """What ``torch.autograd.grad`` returned, which nobody will read from ``.grad``."""
        read = tuple(value for value in (*backward.roots, *backward.inputs) if value >= 0)
        measured = tuple(measure(gradient) for gradient in results)
        values = add_gradients(self._recorder.tables, backward.site, read, results)
        for value, of in zip(values, backward.inputs, strict=False):
            if value >= 0 and of >= 0:
                self._log.gradient_of[value] = of
        return dataclasses.replace(backward, results=measured, result_values=values)

    def _still_there(self) -> tuple[int, ...]:
        """The tensors whose ``.grad`` is what an earlier backward left, unchanged since, and to which adding matters.

        What is written through ``.grad.data`` counts as no change; where that clears it, zeros are found.
        """
        kept = []
        for key, (tensor_reference, gradient_reference, version) in list(self._left.items()):
            tensor = tensor_reference()
            gradient = gradient_reference()
            if tensor is None:
                del self._left[key]
                continue
            current = gradient_of(tensor)
            is_same = current is gradient
            is_there = current is not None and is_same and version_of(current) == version
            # it is looked into only where the program has had it in its hands
            is_known = current is not None and self._recorder.known_value(current) >= 0
            if is_there and not (is_known and measure(current).is_zero):
                kept.append(self._recorder.value_of(tensor))
        return tuple(kept)

    def _remember(self, leaves: Sequence[torch.Tensor]) -> None:
        for leaf in leaves:
            left = gradient_of(leaf)
            if left is not None:
                self._left[id(leaf)] = (weakref.ref(leaf), weakref.ref(left), version_of(left))


def _note_caught(passes: MutableSequence[Backward], number: int, how: Caught) -> None:
    passes[number] = dataclasses.replace(passes[number], caught_by=how)


def _are_zero(seeds: Sequence[torch.Tensor]) -> bool:
    """Whether a pass begins with zeros; what requires grad is to be differentiated itself, whatever it holds."""
    return bool(seeds) and not any(map(requires_grad, seeds)) and all(measure(seed).is_zero for seed in seeds)


def _is_internal(caller: FrameType | None) -> bool:
    """Whether torch asks for its own purposes (`torch.func`, `jacobian`), or numbers cannot be read now."""
    if is_in_transform():
        return True
    path = caller.f_code.co_filename if caller is not None else ""
    return path.startswith(_TORCH) and not path.endswith("_tensor.py")


_TORCH = str(Path(torch.__file__).parent) + os.sep


def _is_tensor(item: Any) -> bool:
    return issubclass(type(item), torch.Tensor)


def _tensors(items: Sequence[Any]) -> list[torch.Tensor]:
    return [item for item in items if _is_tensor(item)]


def _seeds(given: Any) -> list[torch.Tensor]:
    """What is given to begin with, as far as it can be gone through more than once."""
    return _tensors(given if type(given) in (tuple, list) else [given])
