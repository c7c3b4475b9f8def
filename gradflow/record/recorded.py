"""Runs operations of torch, once each, and appends a row to the recording for each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any

import torch

from gradflow.record.conduct.aside import Aside
from gradflow.record.conduct.whose_error import run_theirs
from gradflow.record.operations.classify import Kind
from gradflow.record.operations.frames import is_in_hook
from gradflow.record.operations.kinds import DETACHING, EXPOSING, INPLACE_CAPABLE
from gradflow.record.operations.marks import Marks
from gradflow.record.operations.nested import nested_tensors
from gradflow.record.operations.reading import Reading
from gradflow.record.operations.results import Results
from gradflow.record.operations.tables import Tables
from gradflow.record.operations.tensor_facts import passes_gradient
from gradflow.record.state.writes import run_announcing
from gradflow.record.views import Views
from gradflow.torch_facts.sequence_numbers import next_sequence_number

__all__ = ["Afterwards", "RecordedOperations"]

Afterwards = Callable[[int, tuple[Any, ...], Mapping[str, Any], Any], None]
"""Is given the row of an operation, its arguments, and what it gave."""

_is_grad_enabled = torch.is_grad_enabled
_Tensor = torch.Tensor
# looked up once: this runs for every operation
_EXIT, _INPLACE, _ALIASING = Kind.EXIT, Kind.INPLACE, Kind.ALIASING


class RecordedOperations:
    """Appends the rows.

    Attributes
    ----------
    followers
        Who is told of each operation that has been recorded.
    """

    def __init__(
        self,
        tables: Tables,
        reading: Reading,
        results: Results,
        views: Views,
        marks: Marks,
        aside: Aside,
        before_write: Callable[[Any], None] | None,
    ) -> None:
        self.followers: list[Afterwards] = []
        self._after: dict[str, list[Afterwards]] = {}
        self._tables = tables
        self._results = results
        self._views = views
        self._marks = marks
        self._aside = aside
        self._before_write = before_write
        self._announce = None if before_write is None else aside.looking(before_write)
        self._sequence = -1
        self._most, self._on_full = sys.maxsize, _do_nothing
        # bound once: each look-up is noticed in a loop of small operations
        columns = tables.operations
        self._appends = (
            columns.name.append,
            columns.site.append,
            columns.call.append,
            columns.mode.append,
            columns.region.append,
            columns.sequence_start.append,
            columns.sequence_end.append,
            columns.inputs.extend,
            columns.input_start.append,
        )
        self._read, self._add_result, self._number = reading.read, results.add, tables.sites.number

    def look_after(self, names: Iterable[str], look: Afterwards) -> None:
        """Call ``look`` after each operation of one of these names."""
        for name in names:
            self._after.setdefault(name, []).append(look)

    def bound(self, operations: int, on_full: Callable[[], None]) -> None:
        """Record at most so many operations; the one after them calls ``on_full`` instead."""
        self._most, self._on_full = operations, on_full

    def run(  # noqa: PLR0912, PLR0915  (every call more is noticed in a loop of small operations)
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        kind: int,
        name: int,
        text: str,
        frame: FrameType,
    ) -> Any:
        """Run one operation, once, and log it; where logging fails, only run it."""
        tables = self._tables
        columns = tables.operations
        inputs: list[int] | None = None
        try:
            if len(columns.name) >= self._most:
                self._on_full()
                return run_theirs(func, args, kwargs)
            read, arguments = self._read(args, kwargs)
            target = None
            if kwargs or kind == _INPLACE or text in INPLACE_CAPABLE:
                target = self._results.look_before(args, kwargs, kind, text)
            if self._before_write is not None and (target is not None or (kind == _EXIT and text in EXPOSING)):
                self._before_write(args[0] if target is None and args else target)
            site = self._number(frame)
            call = tables.call
            enabled = _is_grad_enabled()
            before = next_sequence_number()
            # one number for where the last one ended and this one begins, not two equal ones
            before = self._sequence if before == self._sequence else before
            inputs = read
        except Exception as error:  # noqa: BLE001  (an observer that fails steps aside)
            self._aside.note(error)
        # outside of the `except`, so that what it raises does not name our failure as its context
        announce = self._announce
        result = run_theirs(func, args, kwargs) if announce is None else run_announcing(func, args, kwargs, announce)
        if inputs is None:
            return result
        try:
            after = next_sequence_number()
            if self._views.pending:
                self._views.look()
            is_tensor = type(result) is _Tensor or isinstance(result, _Tensor)
            if not is_tensor and result.__class__ is str:
                return result  # `x.type()` asks for a name, `x.type(torch.float64)` converts
            row = len(columns.name)
            add_name, add_site, add_call, add_mode, add_region, add_start, add_end, add_inputs, add_first = (
                self._appends
            )
            add_name(name)
            add_site(site)
            add_call(call)
            if enabled:
                add_mode(0)
                add_region(-1)
            else:
                self._log_switched_off(row)
            if kind == _ALIASING and text in DETACHING and is_in_hook(frame):
                self._marks.in_hooks.add(row)
            add_start(before)
            self._sequence = before if after == before else after
            add_end(self._sequence)
            add_inputs(inputs)
            columns.argument.extend(arguments)
            add_first(len(columns.inputs))
            if is_tensor:
                kind = kind if target is None else _INPLACE
                self._add_result(result, row, kind, text, inputs, (args, kwargs, result))
            else:
                self._results.add_others(result, row, kind, text, inputs, (args, kwargs, result), target)
            columns.output_start.append(len(columns.outputs))
            if tables.on_meta:
                tables.leave_values_behind(inputs)
            if inputs and enabled and not tables.values.requires_grad[-1]:
                self._look_at_flags(row, inputs, args, kwargs)
            if self._after or self.followers:
                for look in (*self._after.get(text, ()), *self.followers):
                    look(row, args, kwargs, result)
        except Exception as error:  # noqa: BLE001  (an observer that fails steps aside)
            self._aside.note(error)
        return result

    def _look_at_flags(self, row: int, inputs: list[int], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Whether what required grad when it was first seen did so no more when this operation read it."""
        required = self._tables.values.requires_grad
        is_required = False
        for value in inputs:  # no generator: asked for every operation of what needs no gradient
            is_required = is_required or required[value]
        if is_required:
            arguments = (*args, *kwargs.values())
            if not any(passes_gradient(tensor) for each in arguments for tensor in nested_tensors(each)):
                self._marks.outdated.add(row)

    def _log_switched_off(self, row: int) -> None:
        modes = self._tables.modes
        self._tables.operations.mode.append(modes.mode)
        self._tables.operations.region.append(modes.region)
        if modes.is_torchs:
            self._marks.of_library.add(row)


def _do_nothing() -> None:
    """Nothing is bounded."""
