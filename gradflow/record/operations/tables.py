"""Operations and values of a recording as they are added: which tensor is which value, and what shares its memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from gradflow.location import SiteTable
from gradflow.record.operations.grad_mode import GradModes
from gradflow.record.operations.kinds import CHANGED_THROUGH_VIEW
from gradflow.record.operations.known_tensor import KnownTensor
from gradflow.record.operations.leaf import LeafRule, MadeOfItself
from gradflow.record.operations.met_elsewhere import MetElsewhere
from gradflow.record.operations.tensor_facts import (
    PLAIN_CLASSES,
    dtype_of,
    is_leaf,
    is_on_meta,
    requires_grad,
    shape_of,
)
from gradflow.recording import CallColumns, OperationColumns, ValueColumns
from gradflow.torch_facts.function_modes import modes_on_stack
from gradflow.torch_facts.sequence_numbers import next_sequence_number
from gradflow.values import is_tensor, tensors_in

__all__ = ["Tables"]

_is_grad_enabled = torch.is_grad_enabled


class Tables:
    """The columns of a recording, and what is needed to fill them; tensors are referred to weakly.

    Parameters
    ----------
    sites
        Numbers the places in the user's code; shared between runs so that they can be compared.
    modes
        Knows where gradient recording is switched off.

    Attributes
    ----------
    thread
        The one whose operations are recorded: a function mode is on in one thread only. It alone numbers values.
    is_over
        Whether nothing more is recorded, because something of gradflow's own has failed.
    met
        Called with the number and the tensor of each value that no recorded operation made, when it is first seen.
    on_stop
        What is to be done when nothing more is to be recorded because something of gradflow's own has failed.
    leaf_rule
        Whether a leaf that is written to stays the same variable.
    memory
        For each value the first one that lay in its memory.
    seen
        For each value how many writes there had been when it was last read; empty as long as there was none.
    written
        For memory that was written to: the operation, the value that was made, and the number of the write.
    """

    def __init__(self, sites: SiteTable, modes: GradModes) -> None:
        self.sites = sites
        self.modes = modes
        self.thread = get_ident()
        self.suspended = 0
        self.is_over = False
        self.operations = OperationColumns()
        self.values = ValueColumns()
        self.calls = CallColumns()
        self.leaf_names: dict[int, tuple[str, str]] = {}
        self.call = -1
        self.met: list[Callable[[int, torch.Tensor], None]] = []
        self.on_stop: list[Callable[[], None]] = []
        self.leaf_rule: LeafRule = MadeOfItself()
        self.ids: dict[int, KnownTensor] = {}
        self.memory = self.values.memory
        self.seen: list[int] = []
        self.written: dict[int, tuple[int, int, int]] = {}
        self.writes = 0
        self.on_meta: set[int] = set()
        self._names: dict[str, int] = {}
        self._name_list: list[str] = []
        self._dtypes: dict[torch.dtype, int] = {}
        self._shapes: dict[Any, tuple[int, ...]] = {}
        self._without_shape: list[tuple[weakref.ref[torch.Tensor], int]] = []
        self._was_there: set[int] = set()
        self._met_elsewhere = MetElsewhere()
        # bound once: each look-up is noticed in a loop of small operations
        values = self.values
        self._value_appends = (
            values.producer.append,
            values.requires_grad.append,
            values.shape.append,
            values.dtype.append,
            values.memory.append,
        )

    def stop(self) -> None:
        """Record nothing more, and forget what could not be recorded to its end."""
        self.is_over = True
        self.suspended += 1
        self.call = -1
        self.drop_open_row()
        for forget in self.on_stop:
            forget()

    @contextmanager
    def unrecorded(self) -> Iterator[None]:
        """What runs meanwhile is gradflow's own, and nothing of the run."""
        self.suspended += 1
        try:
            yield
        finally:
            self.suspended -= 1

    # values

    def is_made(self, tensor: torch.Tensor) -> bool:
        """Whether an operation made a tensor: it is not one that was there before, changed or handed through."""
        value = self.known_value(tensor)
        return value >= 0 and self.values.producer[value] >= 0 and value not in self._was_there

    def is_met(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor was seen before."""
        return self.known_value(tensor) >= 0

    def go_on(self, before: int, value: int) -> None:
        """A tensor that was the value ``before`` becomes ``value``: it is no newer than it was."""
        if self.values.producer[before] < 0 or before in self._was_there:
            self._was_there.add(value)

    def value_of(self, tensor: torch.Tensor) -> int:
        """The value id of a tensor; a tensor never seen before becomes a value without a producer."""
        known = self.ids.get(id(tensor))
        if known is not None and known() is tensor:
            value = known.value
            if self.written:
                write = self.written.get(self.memory[value])
                if write is not None and write[2] > self.seen[value]:
                    return self._refresh(tensor, value, write)
            return value
        if self._met_elsewhere.waiting:
            self.number_met_elsewhere()
            if self.known_value(tensor) >= 0:
                return self.value_of(tensor)
        return self._meet(tensor)

    def _meet(self, tensor: torch.Tensor) -> int:
        value = self.new_value(tensor, -1)
        if not (is_leaf(tensor) or value in self.leaf_names):
            self.leaf_names[value] = ("opaque", "")
        return value

    def meet_elsewhere(self, tensor: torch.Tensor, tell: Callable[[int], object]) -> None:
        """Another thread has met a tensor: ``tell`` is told its value when the thread of the operations numbers it."""
        self._met_elsewhere.add(tensor, tell)

    def number_met_elsewhere(self) -> None:
        """Number what other threads have met; only in the thread whose operations are recorded."""
        for tensor, (shape, dtype, requires), tell in self._met_elsewhere.taken():
            if tensor is None:
                number = self._dtypes.setdefault(dtype, len(self._dtypes))
                value = self.new_value_alone(-1, shape, number, requires_grad=requires)
                self.leaf_names[value] = ("opaque", "")
                tell(value)
            else:
                known = self.known_value(tensor)
                tell(known if known >= 0 else self._meet(tensor))

    def known_value(self, tensor: torch.Tensor) -> int:
        """The value id of a tensor that was seen before, else -1."""
        known = self.ids.get(id(tensor))
        return known.value if known is not None and known() is tensor else -1

    def known_values(self, output: Any) -> tuple[int, ...]:
        """The value ids of the tensors that a module returned, as far as they were seen before."""
        known = self.ids.get(id(output))
        if known is not None and known() is output:
            return (known.value,)  # asked after each call of a module, most of which return one tensor
        if is_tensor(output):
            value = self.known_value(output)
            return (value,) if value >= 0 else ()
        return tuple(value for value in map(self.known_value, tensors_in(output)) if value >= 0)

    def forget(self, tensor: torch.Tensor) -> int:
        """Let go of a tensor, which nothing refers to weakly any more; gives its value id, -1 where it had none."""
        known = self.ids.pop(id(tensor), None)
        return known.value if known is not None and known() is tensor else -1

    def forget_all(self) -> None:
        """Let go of every tensor."""
        self.ids.clear()
        self._without_shape.clear()

    def remember(self, tensor: torch.Tensor, value: int) -> None:
        """From now on a tensor is the value ``value``."""
        self.ids[id(tensor)] = known = KnownTensor(tensor)
        known.value = value

    def name_leaf(self, tensor: torch.Tensor, role: str, name: str) -> int:
        """Register a tensor that exists before the run under a name."""
        value = self.known_value(tensor)
        if value < 0:
            value = self.new_value(tensor, -1)
            self.leaf_names[value] = (role, name)
        return value

    def new_value(self, tensor: torch.Tensor, producer: int, group: int = -1) -> int:
        """Number what an operation made, or, with -1 for ``producer``, what was there before.

        ``group`` is the first value in the same memory, -1 where it has one of its own.
        """
        values = self.values
        value = len(values.producer)
        if type(tensor) in PLAIN_CLASSES and not modes_on_stack():
            # one tuple for all values of a shape; nested tensors may not give theirs, symbols are not to be looked up
            try:
                size = None if tensor._has_symbolic_sizes_strides else tensor.shape
            except RuntimeError:
                size = None  # a nested tensor
            shape = self._shapes.get(size)
            if shape is None:
                shape = shape_of(tensor)
                if size is not None:
                    self._shapes[size] = shape
            requires, dtype, is_meta = tensor.requires_grad, tensor.dtype, tensor.is_meta
        else:
            requires, shape, dtype = requires_grad(tensor), shape_of(tensor), dtype_of(tensor)
            is_meta = is_on_meta(tensor)
            if is_lazy(tensor):
                self._without_shape.append((weakref.ref(tensor), value))
        number = self._dtypes.get(dtype)
        if number is None:
            number = self._dtypes[dtype] = len(self._dtypes)
        # all of it has been read: the columns stay of one length
        add_producer, add_flag, add_shape, add_dtype, add_memory = self._value_appends
        add_producer(producer)
        add_flag(requires)
        add_shape(shape)
        add_dtype(number)
        add_memory(value if group < 0 else group)
        if self.writes:
            self.seen.append(self.writes)
        self.ids[id(tensor)] = known = KnownTensor(tensor)
        known.value = value
        if is_meta:
            self.on_meta.add(value)
        if producer < 0:
            for tell in self.met:
                tell(value, tensor)
        return value

    def complete_shapes(self) -> None:
        """Parameters of lazy layers got their shapes when these first ran."""
        for reference, value in self._without_shape:
            tensor = reference()
            if tensor is not None:
                self.values.shape[value] = shape_of(tensor)

    def _refresh(self, tensor: torch.Tensor, value: int, write: tuple[int, int, int]) -> int:
        """A tensor whose memory was changed through another tensor (a view, ``.data``) since it was last read."""
        if self.leaf_rule.survives(self, tensor, value, write):
            self.seen[value] = self.writes
            return value
        row = self.append_row(CHANGED_THROUGH_VIEW, self.operations.site[write[0]])
        self.append_inputs(row, (value, write[1]), (0, 1))
        self.go_on(value, len(self.values.producer))
        fresh = self.new_value(tensor, row, self.memory[value])
        self.operations.outputs.append(fresh)
        self.operations.output_start.append(len(self.operations.outputs))
        return fresh

    def new_value_of_leaf(self, value: int) -> int:
        """A value that nobody reads: what an update writes does not become part of the path."""
        row, values = len(self.operations.name) - 1, self.values
        return self.new_value_alone(row, values.shape[value], values.dtype[value], requires_grad=False)

    def new_value_alone(self, row: int, shape: tuple[int, ...], dtype: int, *, requires_grad: bool) -> int:
        """A value for which the program has no tensor."""
        fresh = len(self.values.producer)
        self.values.producer.append(row)
        self.values.requires_grad.append(requires_grad)
        self.values.shape.append(shape)
        self.values.dtype.append(dtype)
        self.memory.append(fresh)
        if self.writes:
            self.seen.append(self.writes)
        return fresh

    def note_write(self) -> int:
        """Something is written to now; gives the number of the write."""
        if not self.writes:
            self.seen.extend([0] * (len(self.values.producer) - len(self.seen)))
        self.writes += 1
        return self.writes

    def leaves(self) -> tuple[weakref.ref[torch.Tensor], ...]:
        """The leaves that require grad, of the tensors that were seen and still live."""
        found = []
        for reference in list(self.ids.values()):  # another thread may be the one that asks
            tensor = reference()
            if tensor is not None and requires_grad(tensor) and is_leaf(tensor):
                found.append(reference)
        return tuple(found)

    def living(self, values: Container[int]) -> Iterator[torch.Tensor]:
        """The tensors that are these values now, of those that still live."""
        for known in list(self.ids.values()):
            tensor = known() if known.value in values else None
            if tensor is not None:
                yield tensor

    # rows

    def number_of_name(self, name: str) -> int:
        """The number of a name in the column of names."""
        number = self._names.get(name)
        if number is None:
            number = self._names[name] = len(self._names)
            self._name_list.append(name)
        return number

    @property
    def names(self) -> tuple[str, ...]:
        """The names of operations, by the number that the rows give."""
        return tuple(self._name_list)

    def name_of(self, row: int) -> str:
        """The name of an operation."""
        return self._name_list[self.operations.name[row]]

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The dtypes of values, by the number that the columns give, as torch prints them without ``torch.``."""
        return tuple(str(dtype).removeprefix("torch.") for dtype in self._dtypes)

    def append_row(self, name: str, site: int) -> int:
        """Begin an operation of which neither inputs nor outputs are known yet."""
        columns = self.operations
        row = len(columns.name)
        columns.name.append(self.number_of_name(name))
        columns.site.append(site)
        columns.call.append(self.call)
        enabled = _is_grad_enabled()
        columns.mode.append(0 if enabled else self.modes.mode)
        columns.region.append(-1 if enabled else self.modes.region)
        number = next_sequence_number()
        columns.sequence_start.append(number)
        columns.sequence_end.append(number)
        return row

    def leave_values_behind(self, inputs: Sequence[int]) -> None:
        """The last operation computed with no values, so none of ``inputs`` go on with what it gave.

        That is so where all that it gave is on the meta device, and where something that it took is: values are not
        computed with what has none. Where nothing has values, nothing is left behind.
        """
        columns = self.operations
        given = columns.outputs[columns.output_start[-2] :]
        is_without = self.on_meta.issuperset(given) if given else not self.on_meta.isdisjoint(inputs)
        if is_without and not self.on_meta.issuperset(inputs):
            start = columns.input_start[-2]
            del columns.inputs[start:], columns.argument[start:]
            columns.input_start[-1] = start

    def inputs_of(self, row: int) -> list[int]:
        """The values that an operation read."""
        columns = self.operations
        return columns.inputs[columns.input_start[row] : columns.input_start[row + 1]]

    def drop_open_row(self) -> None:
        """Forget an operation that could not be recorded to its end; what it gave has no producer."""
        columns = self.operations
        rows = len(columns.output_start) - 1
        for column in (columns.name, columns.site, columns.call, columns.mode, columns.region):
            del column[rows:]
        for column in (columns.sequence_start, columns.sequence_end):
            del column[rows:]
        del columns.input_start[rows + 1 :]
        for column in (columns.inputs, columns.argument):
            del column[columns.input_start[rows] :]
        for value in columns.outputs[columns.output_start[rows] :]:
            self.values.producer[value] = -1
        del columns.outputs[columns.output_start[rows] :]

    def append_inputs(self, row: int, inputs: Iterable[int], arguments: Iterable[int]) -> None:
        """What the last operation read, and with which of its arguments."""
        columns = self.operations
        columns.inputs.extend(inputs)
        columns.argument.extend(arguments)
        columns.input_start.append(len(columns.inputs))
