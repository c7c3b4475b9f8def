"""Calls that no function mode sees, which replacements of them announce: each becomes one operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch

from gradflow.record.conduct.aside import Aside
from gradflow.record.conduct.whose_error import run_theirs
from gradflow.record.operations.classify import Kind
from gradflow.record.operations.kinds import ALIASING, EXPOSING, is_inplace_name
from gradflow.record.operations.marks import Marks
from gradflow.record.operations.nested import nested_tensors
from gradflow.record.operations.reading import Reading
from gradflow.record.operations.results import Results
from gradflow.record.operations.tables import Tables
from gradflow.record.views import Views
from gradflow.torch_facts.sequence_numbers import next_sequence_number

__all__ = ["AlsoRead", "AnnouncedCallObserver", "AnnouncedCalls", "nothing_more"]

AlsoRead = Callable[[Any], Sequence[torch.Tensor]]
"""Given what a call returned: what it has read besides its arguments."""


def nothing_more(result: Any) -> Sequence[torch.Tensor]:
    """A call reads its arguments alone."""
    return ()


_NO_KEYWORDS: dict[str, Any] = {}


class AnnouncedCallObserver(Protocol):
    """Looks at announced calls besides the recorder; what it raises ends the recording, and nothing else."""

    def before(self, name: str, function: type | None, inputs: tuple[Any, ...], *, inner: bool) -> Any:
        """The call is about to be made; what this gives, ``after`` gets back. ``function`` is a Function's class."""
        ...

    def after(self, memo: Any, row: int, name: str, result: Any) -> None:
        """The call has returned, and is the operation ``row``; not called where it raised."""
        ...

    def leave(self, memo: Any) -> None:
        """The call is over, whether it returned or raised."""
        ...


class AnnouncedCalls:
    """Runs and logs them.

    Attributes
    ----------
    inside
        The name of the call that runs now and whose inside is not recorded; empty for none.
    functions
        The classes of the Functions that were applied, by the name of the operation.
    observers
        Who looks besides.
    before_write
        Told of what is about to be written to, or to hand out its memory.
    """

    def __init__(
        self, tables: Tables, reading: Reading, results: Results, views: Views, marks: Marks, aside: Aside
    ) -> None:
        self.inside = ""
        self.functions: dict[str, type] = {}
        self.observers: list[AnnouncedCallObserver] = []
        self.before_write: Callable[[Any], None] | None = None
        self._tables = tables
        self._reading = reading
        self._results = results
        self._views = views
        self._marks = marks
        self._aside = aside

    def function_of(self, name: str) -> type | None:
        """The class, where the name is that of a Function's ``apply``."""
        return self.functions.get(name) if name.endswith(".apply") else None

    def follow(
        self,
        name: str,
        function: Callable[[], Any],
        inputs: tuple[Any, ...],
        site: int,
        *,
        inner: bool,
        also_read: AlsoRead = nothing_more,
    ) -> Any:
        """Run one call, once, and log it; where logging fails, only run it."""
        begun: tuple[list[int], list[int], list[Any], int] | None = None
        try:
            begun = self._begin(name, inputs, inner=inner)
        except Exception as error:  # noqa: BLE001  (an observer that fails steps aside)
            self._aside.note(error)
        if begun is None:
            return run_theirs(function)
        values, positions, memos, before = begun
        try:
            with self._within(name, site, inner=inner):
                result = run_theirs(function)
            try:
                if self._views.pending:
                    self._views.look()
                for tensor in also_read(result):
                    if (value := self._tables.value_of(tensor)) not in values:
                        values.append(value)
                        positions.append(len(inputs))
                row = self._log(name, site, before, inputs, result, values, positions, inner=inner)
                for observer, memo in zip(self.observers, memos, strict=False):
                    observer.after(memo, row, name, result)
            except Exception as error:  # noqa: BLE001  (an observer that fails steps aside)
                self._aside.note(error)
        finally:
            for observer, memo in zip(self.observers, memos, strict=False):
                self._aside.looking(observer.leave)(memo)
        return result

    def _begin(self, name: str, inputs: tuple[Any, ...], *, inner: bool) -> tuple[list[int], list[int], list[Any], int]:
        values: list[int] = []
        positions: list[int] = []
        for position, argument in enumerate(inputs):
            self._reading.collect(argument, position, values, positions)
            if self.before_write is not None and (name in EXPOSING or (is_inplace_name(name) and not position)):
                self.before_write(argument)
        self._results.look_before(inputs, _NO_KEYWORDS, _kind_of(name), name)
        cls = self.function_of(name)
        memos = [observer.before(name, cls, inputs, inner=inner) for observer in self.observers]
        return values, positions, memos, next_sequence_number()

    @contextmanager
    def _within(self, name: str, site: int, *, inner: bool) -> Iterator[None]:
        tables, modes = self._tables, self._tables.modes
        outer_region, outer_name = modes.region, self.inside
        if inner:
            modes.checkpoint_depth += 1
            modes.region = site
        else:
            tables.suspended += 1
            self.inside = name
        try:
            yield
        finally:
            if inner:
                modes.checkpoint_depth -= 1
                modes.region = outer_region
            else:
                tables.suspended -= 1
                self.inside = outer_name

    def _log(
        self,
        name: str,
        site: int,
        before: int,
        inputs: Sequence[Any],
        result: Any,
        values: list[int],
        positions: list[int],
        *,
        inner: bool,
    ) -> int:
        tables = self._tables
        if inner:
            for tensor in nested_tensors(result):
                made = tables.known_value(tensor)
                if made >= 0:
                    values.append(made)
                    positions.append(len(positions))
        row = tables.append_row(name, site)
        if inner:
            self._marks.checkpoints.add(row)
        tables.operations.sequence_start[row] = before
        tables.append_inputs(row, values, positions)
        for tensor in nested_tensors(result):
            self._results.add(tensor, row, _kind_of(name), name, values, ((inputs,), _NO_KEYWORDS, result))
        tables.operations.output_start.append(len(tables.operations.outputs))
        return row


def _kind_of(name: str) -> int:
    if is_inplace_name(name):
        return Kind.INPLACE
    return Kind.ALIASING if name in ALIASING else Kind.PLAIN
