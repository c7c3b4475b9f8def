"""The recorder: logs every torch operation of a run with its place, its values and the grad mode; holds no tensor.

It records and does not interrogate: no ``grad_fn`` is read while recording, because a graph whose every node Python has
touched overflows the C stack when it is freed (a chain of 50,000 is enough), and would take the user's process with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from threading import get_ident
from typing import Any, Self

import torch
from torch.overrides import TorchFunctionMode

from gradflow.location import SiteTable
from gradflow.record.classify import Kind, classify
from gradflow.record.conduct.whose_error import is_ours, run_theirs, stepping_aside
from gradflow.record.elsewhere.noted import Elsewhere
from gradflow.record.frames import is_in_hook
from gradflow.record.nested import nested_tensors
from gradflow.record.operation_kinds import ALIASING, DETACHING, EXPOSING, INPLACE_CAPABLE
from gradflow.record.results.results import Results
from gradflow.record.seam.intervention import Call, Intervention, carry_out
from gradflow.record.state.writes import run_announcing
from gradflow.record.tensor_facts import SCALARS, passes_gradient, storage_of, storage_pointer, version_of
from gradflow.record.views import Views
from gradflow.recording import Recording
from gradflow.torch_facts.sequence_numbers import next_sequence_number
from gradflow.torch_facts.transforms import differentiates, is_in_transform

__all__ = ["Recorder"]

_NO_KEYWORDS: dict[str, Any] = {}
_is_grad_enabled = torch.is_grad_enabled
_Tensor = torch.Tensor
_Parameter = torch.nn.Parameter
# looked up once: this runs for every operation
_PLAIN, _IGNORE, _GRAD_MODE, _EXIT = Kind.PLAIN, Kind.IGNORE, Kind.GRAD_MODE, Kind.EXIT
_INPLACE, _ALIASING, _EXPOSE, _HOOK = Kind.INPLACE, Kind.ALIASING, Kind.EXPOSE, Kind.HOOK


class Recorder(Results, TorchFunctionMode):
    """A ``TorchFunctionMode`` that appends one row per operation to plain columns.

    Parameters
    ----------
    sites
        Numbers the places in the user's code; shared between runs so that they can be compared.
    before_write
        Called with a tensor before an operation changes it in place.
    seam
        The experiment that the run is for; operations are shown to it by :func:`gradflow.record.seam.mode.shown_to`.
    """

    def __init__(
        self,
        sites: SiteTable,
        before_write: Callable[[Any], None] | None = None,
        seam: Intervention | None = None,
    ) -> None:
        super().__init__(sites)
        self.seam = seam
        self.first_value: dict[int, int] = {}
        self.functions: dict[str, type] = {}
        self.hook_operations: set[int] = set()
        self.library_operations: set[int] = set()
        self.outdated_operations: set[int] = set()
        self.checkpoint_operations: set[int] = set()
        self.elsewhere = Elsewhere(self.known_value)
        self.inside = ""
        self.views = Views()
        self.failed: Exception | None = None
        self.thread = get_ident()
        self.before_write = before_write
        self._announce = None if before_write is None else stepping_aside(before_write, self.step_aside)
        self.is_differentiated = False
        self._kinds: dict[Any, tuple[int, int, str]] = {}

    def __enter__(self) -> Self:
        self._enabled_at_start = _is_grad_enabled()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def _classify(self, func: Any) -> tuple[int, int, str]:
        kind, name = classify(func)
        found = self._kinds[func] = (kind, self._number_of_name(name), name)
        return found

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kind, name, text = self._kinds.get(func) or self._classify(func)
        if kind == _IGNORE:
            return run_theirs(func, args, kwargs or _NO_KEYWORDS)
        if self.suspended:
            return self._run_unrecorded(func, args, kwargs or _NO_KEYWORDS, kind, text)
        if is_in_transform():
            self.is_differentiated = self.is_differentiated or differentiates()
            stepping_aside(self.elsewhere.note_read, self.step_aside)((args, kwargs))
            return self._run_unrecorded(func, args, kwargs or _NO_KEYWORDS, kind, text)
        try:
            if kind >= _EXPOSE:
                if kind == _HOOK:
                    self.elsewhere.note_hooked(args)
                else:
                    self.note_given_away(args)
                if kind == _EXPOSE:
                    self.before_exposing(args[0] if args else None)
                return run_theirs(func, args, kwargs or _NO_KEYWORDS)
            if kind == _GRAD_MODE:
                return self._change_grad_mode(func, args)
            return self.record(func, args, kwargs or _NO_KEYWORDS, kind, name, text)
        except Exception as error:
            if is_ours(error):
                self.step_aside(error)
            raise

    def _run_unrecorded(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], kind: int, text: str) -> Any:
        """Run what is not recorded; what it writes to or hands out is announced all the same."""
        if self._announce is not None and (kind in (_INPLACE, _EXPOSE) or "out" in kwargs or text in EXPOSING):
            self._announce(kwargs.get("out", args[0] if args else None))
        return run_announcing(func, args, kwargs, self._announce)

    def before_exposing(self, tensor: Any) -> None:
        """The memory of a tensor is handed out: it may be written to from now on, unseen."""
        if self.before_write is not None:
            self.before_write(tensor)

    def note_given_away(self, read: Any) -> None:
        """Memory or text of tensors is handed out: their values may come back in ways that are not recorded."""
        self.elsewhere.note_given_away(read)
        if self.seam is not None:
            self.seam.give_away(read)

    def is_own_thread(self) -> bool:
        """Whether this is the thread whose operations are recorded: a function mode is on in one thread only."""
        return get_ident() == self.thread

    def step_aside(self, error: Exception) -> None:
        """Record no more: our own code has failed, and what the program does goes on without it."""
        self.failed = self.failed or error
        self.suspended += 1

    def record(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        kind: int,
        name: int,
        text: str,
    ) -> Any:
        """Run one operation, once, and log it; where logging fails, only run it."""
        inputs: list[int] | None = None
        try:
            read, arguments = self._read(args, kwargs)
            target = self._look_before(args, kwargs, kind, text)
            site = self.sites.number(sys._getframe(2))
            call = self.call
            enabled = _is_grad_enabled()
            before = next_sequence_number()
            inputs = read
        except Exception as error:  # noqa: BLE001  (an observer that fails steps aside)
            self.step_aside(error)
        # outside of the `except`, so that what it raises does not name our failure as its context
        result = run_announcing(func, args, kwargs, self._announce)
        if inputs is None:
            return result
        try:
            after = next_sequence_number()
            if self.views.pending:
                self.views.look()
            is_tensor = type(result) is _Tensor or isinstance(result, _Tensor)
            if not is_tensor and result.__class__ is str:
                return result  # `x.type()` asks for a name, `x.type(torch.float64)` converts
            columns = self.operations
            row = len(columns.name)
            columns.name.append(name)
            columns.site.append(site)
            columns.call.append(call)
            if enabled:
                columns.mode.append(0)
                columns.region.append(-1)
            else:
                self._log_switched_off(row)
            if kind == _ALIASING and text in DETACHING and is_in_hook(sys._getframe(2)):
                self.hook_operations.add(row)
            columns.sequence_start.append(before)
            # one number, not two equal ones, where autograd made nothing
            columns.sequence_end.append(before if after == before else after)
            columns.inputs.extend(inputs)
            columns.argument.extend(arguments)
            columns.input_start.append(len(columns.inputs))
            if is_tensor:
                kind = kind if target is None else _INPLACE
                self._record_output(result, row, kind, text, inputs, (args, kwargs, result))
            else:
                self._record_others(result, row, kind, text, inputs, (args, kwargs, result), target)
            columns.output_start.append(len(columns.outputs))
            if self._on_meta:
                self._leave_values_behind(inputs)
            if inputs and enabled and not self.values.requires_grad[-1]:
                self._look_at_flags(row, inputs, args, kwargs)
        except Exception as error:  # noqa: BLE001  (an observer that fails steps aside)
            self.step_aside(error)
        return result

    def _look_at_flags(self, row: int, inputs: list[int], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Whether what required grad when it was first seen did so no more when this operation read it."""
        required = self.values.requires_grad
        if any(required[value] for value in inputs):
            arguments = (*args, *kwargs.values())
            if not any(passes_gradient(tensor) for each in arguments for tensor in nested_tensors(each)):
                self.outdated_operations.add(row)

    def _log_switched_off(self, row: int) -> None:
        self.operations.mode.append(self._region_mode())
        self.operations.region.append(self.region)
        if self._is_torchs_region:
            self.library_operations.add(row)

    def _look_before(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], kind: int, text: str) -> Any:
        """Announce what an operation is about to write to or to hand out, and give the former."""
        can_write = text in INPLACE_CAPABLE and args and isinstance(args[0], _Tensor)
        self._version = version_of(args[0]) if can_write else -1
        self._storage = 0
        if kind == _INPLACE or (kwargs and "out" in kwargs):
            target = kwargs.get("out", args[0] if args else None)
            if isinstance(target, _Tensor):
                self._storage = storage_of(target)
            if target is not None and self.before_write is not None:
                self.before_write(target)
            return target
        if kind == _EXIT and text in EXPOSING:
            self.before_exposing(args[0] if args else None)
        return None

    def _read(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[list[int], list[int]]:
        """Value ids of the tensors among the arguments, and the position of the argument that each came from."""
        inputs: list[int] = []
        arguments: list[int] = []
        ids = self._ids
        position = 0
        for argument in args:
            cls = type(argument)
            if cls is _Tensor or cls is _Parameter or (cls not in SCALARS and isinstance(argument, _Tensor)):
                # what `value_of` finds for all but new tensors and those that may have changed through a view
                entry = ids.get(id(argument))
                if entry is None or self._written or entry[0]() is not argument:
                    inputs.append(self.value_of(argument))
                else:
                    inputs.append(entry[1])
                arguments.append(position)
            elif cls not in SCALARS:
                self._collect(argument, position, inputs, arguments)
            position += 1
        if kwargs:
            for argument in kwargs.values():
                if type(argument) not in SCALARS:
                    self._collect(argument, position, inputs, arguments)
                position += 1
        return inputs, arguments

    def _collect(self, argument: Any, position: int, inputs: list[int], arguments: list[int]) -> None:
        for tensor in nested_tensors(argument):
            value = -1
            if self._exported and self.known_value(tensor) < 0:
                # what an array keeps alive is another tensor object over the memory of the one that was exported
                value = self._exported.get(storage_pointer(tensor), -1)
            inputs.append(value if value >= 0 else self.value_of(tensor))
            arguments.append(position)

    def record_call(self, name: str, function: Callable[[], Any], inputs: Any, *, inner: bool = False) -> Any:
        """Log something that the mode cannot see by itself as one operation; its inside is not recorded.

        ``inner`` lets the inside be recorded too, and counts what it made as inputs of the whole.
        """
        if self.seam is None:
            return self._follow_call(name, function, inputs, inner=inner)
        call = Call(
            recorder=self,
            name=name,
            site=self.sites.number(sys._getframe(1)),
            arguments=tuple(inputs),
            function=self.functions.get(name) if name.endswith(".apply") else None,
            is_announced=True,
            runs_modules=inner,
        )
        return carry_out(self.seam, call, lambda: self._follow_call(name, function, inputs, inner=inner))

    def _follow_call(self, name: str, function: Callable[[], Any], inputs: Any, *, inner: bool) -> Any:
        values: list[int] = []
        positions: list[int] = []
        is_followed = False
        try:
            for position, argument in enumerate(inputs):
                self._collect(argument, position, values, positions)
                if name in EXPOSING:
                    self.before_exposing(argument)
            site = self.sites.number(sys._getframe(1))
            is_followed = True
        except Exception as error:  # noqa: BLE001  (an observer that fails steps aside)
            self.step_aside(error)
        if not is_followed:
            return run_theirs(function)
        before = next_sequence_number()
        outer_region, outer_name = self.region, self.inside
        if inner:
            self._checkpoint_depth += 1
            self.region = site
        else:
            self.suspended += 1
            self.inside = name
        try:
            result = run_theirs(function)
        finally:
            if inner:
                self._checkpoint_depth -= 1
                self.region = outer_region
            else:
                self.suspended -= 1
                self.inside = outer_name
        try:
            if self.views.pending:
                self.views.look()
            self._log_call(name, site, before, inputs, result, values, positions, inner=inner)
        except Exception as error:  # noqa: BLE001  (an observer that fails steps aside)
            self.step_aside(error)
        return result

    def _log_call(
        self,
        name: str,
        site: int,
        before: int,
        inputs: Any,
        result: Any,
        values: list[int],
        positions: list[int],
        *,
        inner: bool,
    ) -> None:
        if inner:
            for tensor in nested_tensors(result):
                made = self.known_value(tensor)
                if made >= 0:
                    values.append(made)
                    positions.append(len(positions))
        row = self._append_row(name, site)
        if inner:
            self.checkpoint_operations.add(row)
        self.operations.sequence_start[row] = before
        self._append_inputs(row, values, positions)
        kind = _ALIASING if name in ALIASING else _PLAIN
        for tensor in nested_tensors(result):
            self._record_output(tensor, row, kind, name, values, ((inputs,), _NO_KEYWORDS, result))
        self.operations.output_start.append(len(self.operations.outputs))

    # the outcome

    def finish(
        self,
        *,
        score: int,
        layer_values: dict[str, tuple[int, ...]],
        initially_enabled: bool,
        callers: Mapping[int, Sequence[tuple[int, int]]] | None = None,
        called_from: Mapping[int, Sequence[tuple[int, int]]] | None = None,
    ) -> Recording:
        """Everything recorded so far as a :class:`Recording`."""
        self.complete_shapes()
        return Recording(
            operations=self.operations,
            values=self.values,
            names=self.names,
            dtypes=tuple(str(dtype).removeprefix("torch.") for dtype in self._dtypes),
            spans=self.sites.spans(),
            calls=tuple(call.finished() for call in self.calls),
            leaf_names=self.leaf_names,
            hook_operations=frozenset(self.hook_operations),
            library_operations=frozenset(self.library_operations),
            outdated_operations=frozenset(self.outdated_operations),
            view_operations=frozenset(self.view_operations),
            checkpoint_operations=frozenset(self.checkpoint_operations),
            given_away=frozenset(self.elsewhere.given_away),
            hooked=frozenset(self.elsewhere.hooked),
            read_unseen=frozenset(self.elsewhere.read_unseen),
            unrecorded_modules=dict(self.elsewhere.modules),
            met_in_model=self.elsewhere.met_in_model,
            score=score,
            layer_values=layer_values,
            initially_enabled=initially_enabled,
            callers={site: tuple(lines) for site, lines in (callers or {}).items()},
            called_from={site: tuple(lines) for site, lines in (called_from or {}).items()},
        )
