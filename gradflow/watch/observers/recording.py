"""The recorder of a whole program: besides operations it sees reads of ``.grad`` and switches of ``requires_grad``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from threading import get_ident
from types import FrameType, FunctionType
from typing import Any

import torch

from gradflow.location import SiteTable
from gradflow.record.classify import Kind
from gradflow.record.conduct.their_exceptions import text_of
from gradflow.record.nested import nested_tensors
from gradflow.record.operation_kinds import FROM_ARRAYS, VALUE_EXITS
from gradflow.record.recorder import Recorder
from gradflow.record.results.results import Beside
from gradflow.record.tensor_facts import (
    dtype_of,
    is_leaf,
    requires_grad,
    version_of,
)
from gradflow.torch_facts.dispatch_modes import outside_dispatch
from gradflow.torch_facts.function_modes import on_stack
from gradflow.torch_facts.tensor_slots import getter, setter
from gradflow.torch_facts.transforms import differentiates, is_in_transform
from gradflow.watch.events import FlagChange
from gradflow.watch.observers.applications import ApplicationKeeper
from gradflow.watch.observers.aside import Aside, Operation, leave_out_this_frame
from gradflow.watch.observers.asked.reads import GradReads
from gradflow.watch.observers.log import Log
from gradflow.watch.observers.measuring import measure
from gradflow.watch.observers.torchs_own import torchs_own

__all__ = ["ProgramRecorder"]

_GRAD_GET, _GRAD_SET, _FLAG_SET = getter("grad"), setter("grad"), setter("requires_grad")
_INDEX = torch.Tensor.__getitem__
_PARTS_KEPT = 100
_SUM_OF_SCORES = "sum of the scores"
_HANDED_THROUGH = frozenset({
    "to", "type", "type_as", "float", "double", "half", "bfloat16", "cpu", "cuda", "contiguous", "flatten", "reshape",
    "as_tensor", "asarray", "alias", "resolve_conj", "resolve_neg", "dequantize",
})  # fmt: skip
"""Operations that may return the very tensor that they were given."""
_LOW = (torch.float16, torch.bfloat16)


class ProgramRecorder(Recorder):
    """A recorder for a program that knows nothing of gradflow.

    Parameters
    ----------
    sites
        Numbers the places in the program.
    log
        Gets the events.

    Attributes
    ----------
    on_stop
        What is to be done when something of gradflow's own has failed: nothing may refer to tensors any more.
    register_hook
        Takes over ``tensor.register_hook(...)``, where it is set.
    look_again
        Called where nothing is recorded for the moment, where it is set: perhaps the reason for that has ended.
    """

    def __init__(self, sites: SiteTable, log: Log) -> None:
        super().__init__(sites)
        self._log = log
        self.passed_through: set[Any] = {torch.autograd.grad, torch.Tensor.backward}
        self.thread = get_ident()
        self.aside = Aside(self._stop)
        self.on_stop: list[Callable[[], None]] = [self.forget_all]
        self.register_hook: Callable[[Operation, Any, Any], Any] | None = None
        self.look_again: Callable[[FrameType], None] | None = None
        self._reads = GradReads(log, sites, self)
        self._most = sys.maxsize
        self._on_full: Callable[[], None] = lambda: None
        self.applications = ApplicationKeeper()
        self._inside: set[int] | None = None

    def bound(self, operations: int, on_full: Callable[[], None]) -> None:
        """Record at most so many operations; the one after them calls ``on_full`` instead."""
        self._most, self._on_full = operations, on_full

    def step_aside(self, error: Exception) -> None:  # noqa: D102  (as in Recorder)
        self.aside.note(error)

    def _stop(self) -> None:
        """Something of gradflow's own failed: record nothing more."""
        self.suspended += 1
        self.call = -1
        self.drop_open_row()
        for forget in self.on_stop:
            forget()

    def is_own_thread(self) -> bool:
        """Whether this is the thread whose operations are recorded: torch has function modes for each thread."""
        return get_ident() == self.thread

    def is_off(self) -> bool:
        """Whether what happens now is not to be noted."""
        if self.suspended and self.look_again is not None and get_ident() == self.thread:
            self.look_again(sys._getframe(1))
        return self.suspended > 0 or get_ident() != self.thread

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        try:
            if type(func) is FunctionType:
                func = torchs_own(func, sys._getframe(1))
            if self.suspended:
                self._pass_by(args, kwargs, sys._getframe(1))
        except Exception as error:  # noqa: BLE001  (ours: the operation is still to come)
            self.aside.note(error)
        try:
            if self.suspended or func in self.passed_through:
                return func(*args, **kwargs)
            return self.aside.once(self._see, func, args, kwargs, func)
        except BaseException as error:
            leave_out_this_frame(error)
            raise

    def _pass_by(self, args: Any, kwargs: Any, frame: FrameType) -> None:
        """An operation while nothing is recorded: perhaps the reason for that has ended, perhaps it reads something."""
        if self.look_again is not None:
            self.look_again(frame)
        if self._inside is not None:
            self._inside.update(map(self.known_value, nested_tensors((args, kwargs))))

    def _see(self, operation: Operation, func: Any, *args: Any, **kwargs: Any) -> Any:
        """Run what torch hands to the mode, and note it."""
        if func == _GRAD_GET:
            return self._read_grad(operation, args[0])
        if func == _GRAD_SET and args[1] is None:
            where = len(self.operations.name), self.sites.number(sys._getframe(1))
            cleared = self.known_value(args[0])
            self._log.cleared[cleared] = where
            self._log.pass_uses.note_cleared(cleared, self._log.backwards)
        if func is torch.Tensor.retain_grad:
            self._note_retained(args[0])
        if func is torch.Tensor.register_hook and self.register_hook is not None:
            return self.register_hook(operation, args, kwargs)
        if func == _FLAG_SET:
            return self._switch(operation, args, kwargs, bool(args[1]))
        if func is torch.Tensor.requires_grad_:
            on = args[1] if len(args) > 1 else kwargs.get("requires_grad", True)
            return self._switch(operation, args, kwargs, bool(on))
        kind, name, text = self._kinds.get(func) or self._classify(func)
        if kind == Kind.IGNORE:
            return operation(*args, **kwargs)
        if is_in_transform():
            self.is_differentiated = self.is_differentiated or differentiates()
            return operation(*args, **kwargs)
        if kind == Kind.GRAD_MODE:
            return self._change_grad_mode(operation, args)
        result = self.record(operation, args, kwargs, kind, name, text)
        if func is _INDEX and self._log.gradient_of:
            self._note_part(args[0], result, sys._getframe(1))
        return result

    def _note_retained(self, tensor: torch.Tensor) -> None:
        """From now on backward is to leave the gradient of a computed tensor in its ``.grad``."""
        if not is_leaf(tensor):
            where = len(self._log.backwards), self.sites.number(sys._getframe(2))
            self._log.retained.setdefault(self.value_of(tensor), where)

    def record(  # noqa: D102  (as in Recorder)
        self, func: Any, args: Any, kwargs: Any, kind: int, name: int, text: str
    ) -> Any:
        if len(self.operations.name) >= self._most:
            self._on_full()
            return func(*args, **kwargs)
        if text == "data=":
            self._note_low_precision(*args)
        result = super().record(func, args, kwargs, kind, name, text)
        if kind == Kind.EXIT or self._log.numbers.any_left:
            self._follow_numbers(kind, text, args, kwargs, result)
        return result

    def record_call(  # noqa: D102  (as in Recorder)
        self, name: str, function: Any, inputs: Any, *, inner: bool = False
    ) -> Any:
        return self.aside.once(self._see_call, function, (), {}, name, inputs, inner)

    def _see_call(self, operation: Operation, name: str, inputs: Any, inner: bool) -> Any:
        cls = self.functions.get(name) if name.endswith(".apply") else None
        kept = self._copied_for(cls, inputs) if cls is not None else None
        outer, self._inside = self._inside, set() if cls is not None and not inner else None
        try:
            result = super().record_call(name, operation, inputs, inner=inner)
            self._note_inner_reads(len(self.operations.name) - 1)
        finally:
            self._inside = outer
        if cls is not None and kept is not None:
            self.applications.keep(cls, len(self.operations.name) - 1, kept)
        if name in FROM_ARRAYS and isinstance(result, torch.Tensor):
            self._log.numbers.enter(len(self.operations.name) - 1, result)
        return result

    def enter_inference(self, enabled: bool) -> None:  # noqa: D102  (as in Recorder)
        self.aside.looking(super().enter_inference)(enabled)

    def leave_inference(self, enabled: bool) -> None:  # noqa: D102  (as in Recorder)
        self.aside.looking(super().leave_inference)(enabled)

    def _note_low_precision(self, tensor: Any, data: Any) -> None:
        """``x.data = ...`` in half precision, as ``model.half()`` does it."""
        if self._log.low_precision or not isinstance(data, torch.Tensor):
            return
        if dtype_of(data) in _LOW and dtype_of(tensor) not in _LOW:
            self._log.low_precision.append((self.sites.number(sys._getframe(2)), len(self.operations.name)))

    def _note_inner_reads(self, row: int) -> None:
        """What the forward of a Function read besides its arguments: a closure, a global, an attribute."""
        columns = self.operations
        given = {-1, *columns.inputs[columns.input_start[row] : columns.input_start[row + 1]]}
        read = (self._inside or set()) - given
        if read:
            self._log.inner_reads[row] = tuple(sorted(read))

    def _copied_for(self, cls: type, inputs: Any) -> tuple[Any, ...] | None:
        self.suspended += 1
        try:
            with outside_dispatch():
                return self.applications.copy(cls, tuple(inputs))
        finally:
            self.suspended -= 1

    def _follow_numbers(self, kind: int, text: str, args: Any, kwargs: Any, result: Any) -> None:
        row, numbers = len(self.operations.name) - 1, self._log.numbers
        if kind == Kind.EXIT:
            if text in VALUE_EXITS:
                numbers.leave(row, result)
        elif kind == Kind.IMPORT and isinstance(result, torch.Tensor):
            numbers.enter(row, result)
        else:
            numbers.use(row, (*args, *kwargs.values()))

    def _new_value(self, tensor: torch.Tensor, producer: int, group: int = -1) -> int:
        value = super()._new_value(tensor, producer, group)
        if producer < 0 and self._log.numbers.any_left:
            # nothing recorded made it: perhaps `torch.FloatTensor(...)` did, of numbers that had left
            self._log.numbers.enter(len(self.operations.name), tensor)
        return value

    def _note_part(self, gradient: torch.Tensor, part: torch.Tensor, frame: FrameType) -> None:
        """The program looks at a part of a gradient: note where there is nothing in it."""
        whole = self.known_value(gradient)
        if whole not in self._log.gradient_of or len(self._log.zero_parts) >= _PARTS_KEPT:
            return
        measured = measure(part)
        site = self.sites.number(frame)
        if measured.is_zero and measured.entry_count > 1:
            if not measure(gradient).is_zero:
                self._log.zero_parts.append((whole, site))
        elif not measured.is_zero:
            self._log.filled_parts.add(site)

    def record_gradients(
        self, site: int, inputs: Sequence[int], gradients: Sequence[torch.Tensor | None]
    ) -> tuple[int, ...]:
        """Log what ``torch.autograd.grad`` returned as an operation of that name; gives the values, -1 for none."""
        row = self._append_row("autograd.grad", site)
        self._append_inputs(row, inputs, range(len(inputs)))
        values = [-1 if gradient is None else self._new_value(gradient, row) for gradient in gradients]
        self.operations.outputs.extend(value for value in values if value >= 0)
        self.operations.output_start.append(len(self.operations.outputs))
        return tuple(values)

    def record_scores(self, site: int, scores: Sequence[int]) -> int:
        """Log that autograd differentiates the sum of several scores, and give that sum's value."""
        row = self._append_row(_SUM_OF_SCORES, site)
        self._append_inputs(row, scores, range(len(scores)))
        of_any = any(self.values.requires_grad[score] for score in scores)
        value = self._new_value_alone(row, (), self.values.dtype[scores[0]], requires_grad=of_any)
        self.operations.outputs.append(value)
        self.operations.output_start.append(len(self.operations.outputs))
        return value

    def listening(self) -> contextlib.AbstractContextManager[None]:
        """Record also where torch has put function modes aside, as it does during a backward pass."""
        return on_stack(self)

    def _record_output(
        self, tensor: torch.Tensor, row: int, kind: int, text: str, inputs: list[int], beside: Beside
    ) -> None:
        value = self.known_value(tensor)
        if value >= 0 and self._is_updated(tensor, inputs, value):
            # an optimizer's or initialiser's update: the leaf stays the same variable
            self.operations.outputs.append(self._new_value_of_leaf(value))
            return
        if value in inputs and (
            text in _HANDED_THROUGH or (self._version >= 0 and version_of(tensor) == self._version)
        ):
            return  # the very tensor that went in: `x.to(device)` where it is there already, dropout in eval mode
        if text == "Parameter" or (text == "_make_subclass" and isinstance(tensor, torch.nn.Parameter)):
            self._log.made_at[len(self.values.producer)] = self.operations.site[row]
            self._log.made_when[len(self.values.producer)] = row
            if not any(map(self._has_history, inputs)):
                made = self._new_value(tensor, -1)
                if inputs and (original := self._leaf_behind(inputs[0])) >= 0:
                    self._log.copies[made] = original
                return
        super()._record_output(tensor, row, kind, text, inputs, beside)

    def _is_updated(self, tensor: torch.Tensor, inputs: Sequence[int], value: int) -> bool:
        if not is_leaf(tensor) or not (requires_grad(tensor) or isinstance(tensor, torch.nn.Parameter)):
            return False
        return not any(self._has_history(read) for read in inputs if read != value)

    def _has_history(self, value: int) -> bool:
        """Whether a value was computed from something that requires grad; copies of leaves were not."""
        values, columns = self.values, self.operations
        for _ in range(16):
            producer = values.producer[value]
            if producer < 0:
                return False
            if values.requires_grad[value]:
                return True
            inputs = columns.inputs[columns.input_start[producer] : columns.input_start[producer + 1]]
            if len(inputs) != 1:
                return any(values.requires_grad[read] and values.producer[read] >= 0 for read in inputs)
            value = inputs[0]
        return False

    def _leaf_behind(self, value: int) -> int:
        """The parameter that a value is a mere copy of, as `copy.deepcopy` makes it; -1 for none."""
        columns = self.operations
        for _ in range(8):
            producer = self.values.producer[value]
            if producer < 0:
                return value if value in self._log.made_at else -1
            inputs = columns.inputs[columns.input_start[producer] : columns.input_start[producer + 1]]
            if len(inputs) != 1:
                return -1
            value = inputs[0]
        return -1

    def _refresh(self, tensor: torch.Tensor, value: int, write: tuple[int, int, int]) -> int:
        if is_leaf(tensor) and (requires_grad(tensor) or isinstance(tensor, torch.nn.Parameter)):
            columns = self.operations
            start, end = columns.input_start[write[0]], columns.input_start[write[0] + 1]
            sources = [v for v in columns.inputs[start:end] if self._group[v] != self._group[value]]
            if not any(map(self._has_history, sources)):
                self._seen[value] = self._writes
                return value
        return super()._refresh(tensor, value, write)

    def module_of(self, value: int) -> int:
        """The module in whose call a value was made; -1 for none."""
        producer = self.values.producer[value]
        call = self.operations.call[producer] if producer >= 0 else -1
        return self._log.call_modules[call] if call >= 0 else -1

    def mark_requires_grad(self, value: int, on: bool) -> None:
        """The flag of a leaf was switched; operations before this moment saw the old one."""
        self.values.requires_grad[value] = on

    def _switch(self, operation: Operation, args: Any, kwargs: Any, on: bool) -> Any:
        tensor = args[0]
        value = self.value_of(tensor)
        change = FlagChange(
            value=value,
            site=self.sites.number(sys._getframe(1)),
            operation=len(self.operations.name),
            on=on,
            was=requires_grad(tensor),
            is_leaf=is_leaf(tensor),
        )
        try:
            result = operation(*args, **kwargs)
        except RuntimeError as error:
            change.error = text_of(error)
            self._log.flags.append(change)
            raise
        if change.was != on:
            self._log.flags.append(change)
            self.mark_requires_grad(value, on)
        return result

    def _read_grad(self, operation: Operation, tensor: torch.Tensor) -> Any:
        gradient = operation(tensor)
        self._reads.note(tensor, gradient, sys._getframe(1), len(self.operations.name))
        return gradient
