"""The recorder: logs every torch operation of a run with its place, its values and the grad mode; holds no tensor.

It records and does not interrogate: nobody goes through autograd's graph after each operation, because a graph whose
every node Python has touched overflows the C stack when it is freed (a chain of 50,000 is enough), and would take the
user's process with it. What looks at nodes while a program runs (a view that was written to, a compiled call, a
backward pass) is bounded by how many a stack bears.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from threading import get_ident
from types import FrameType, FunctionType
from typing import Any, Self

import torch
from torch.overrides import TorchFunctionMode

from gradflow.location import SiteTable
from gradflow.record.conduct.aside import Aside, leave_out_own_frames
from gradflow.record.conduct.whose_error import is_ours, run_theirs
from gradflow.record.elsewhere.noted import Elsewhere
from gradflow.record.operations.announced_calls import AlsoRead, AnnouncedCalls, nothing_more
from gradflow.record.operations.asking import asked_function
from gradflow.record.operations.classify import Kind, classify
from gradflow.record.operations.grad_mode import GradModes
from gradflow.record.operations.kinds import EXPOSING
from gradflow.record.operations.marks import Marks
from gradflow.record.operations.reading import Reading
from gradflow.record.operations.results import Results
from gradflow.record.operations.special_functions import Around, SpecialFunctions
from gradflow.record.operations.tables import Tables
from gradflow.record.recorded import RecordedOperations
from gradflow.record.seam.intervention import Call, Intervention, carry_out
from gradflow.record.state.writes import run_announcing
from gradflow.record.views import Views
from gradflow.torch_facts.function_modes import on_stack
from gradflow.torch_facts.transforms import differentiates, innermost_transform

__all__ = ["Recorder"]

_NO_KEYWORDS: dict[str, Any] = {}
_is_grad_enabled = torch.is_grad_enabled
# looked up once: this runs for every operation
_IGNORE, _GRAD_MODE, _SPECIAL = Kind.IGNORE, Kind.GRAD_MODE, Kind.SPECIAL
_INPLACE, _EXPOSE, _HOOK = Kind.INPLACE, Kind.EXPOSE, Kind.HOOK


class Recorder(TorchFunctionMode):
    """A ``TorchFunctionMode`` that appends one row per operation to plain columns.

    What else is to be seen of a run is seen by observers: of functions that are no operations (:meth:`look_at`), of
    operations by name (``recorded.look_after``), of announced calls (``announced.observers``) and of new values
    (``tables.met``). Whatever fails in one of them, or here, ends the recording; the operation itself runs once.

    Parameters
    ----------
    sites
        Numbers the places in the user's code; shared between runs so that they can be compared.
    before_write
        Called with a tensor before an operation changes it in place.
    seam
        The experiment that the run is for; operations are shown to it by :func:`gradflow.record.seam.mode.shown_to`.
    is_guest
        The run is somebody else's program: no frame of gradflow's stays in the exceptions that pass, and none is kept.

    Attributes
    ----------
    recorded
        Runs the operations that are recorded, and tells who looks after them.
    unrecorded
        Who is given the arguments of each operation that is not recorded because recording is suspended.
    look_again
        Called where recording is suspended: perhaps the reason for that has ended.
    """

    def __init__(
        self,
        sites: SiteTable,
        before_write: Callable[[Any], None] | None = None,
        seam: Intervention | None = None,
        *,
        is_guest: bool = False,
    ) -> None:
        super().__init__()
        self.sites = sites
        self.seam = seam
        self.modes = GradModes(sites, None if seam is None else seam.keeps_recording)
        self.tables = tables = Tables(sites, self.modes)
        self.aside = Aside(tables.stop, keeps_error=not is_guest)
        self.results = Results(tables)
        self.views = Views()
        self.marks = Marks()
        self.elsewhere = Elsewhere(tables.known_value, tables.operations.name)
        self.reading = Reading(tables, self.results.exported)
        self.announced = AnnouncedCalls(tables, self.reading, self.results, self.views, self.marks, self.aside)
        self.special = SpecialFunctions()
        self.recorded = RecordedOperations(
            tables, self.reading, self.results, self.views, self.marks, self.aside, before_write
        )
        self.unrecorded: list[Callable[[Any], None]] = []
        self.look_again: Callable[[FrameType], None] | None = None
        self.is_differentiated = False
        self.before_write = before_write
        self._announce = None if before_write is None else self.aside.looking(before_write)
        self._run_recorded = self.recorded.run
        self._is_guest = is_guest
        self._kinds: dict[Any, tuple[int, int, str]] = {}
        self.announced.before_write = before_write
        if seam is not None:
            self._show_to(seam)
        # what those who look besides ask for most
        self.operations, self.values, self.calls = tables.operations, tables.values, tables.calls
        self.leaf_names = tables.leaf_names
        self.value_of, self.known_value, self.known_values = tables.value_of, tables.known_value, tables.known_values
        self.name_leaf, self.leaves, self.is_met, self.is_made = (
            tables.name_leaf,
            tables.leaves,
            tables.is_met,
            tables.is_made,
        )

    def __enter__(self) -> Self:
        self.modes.enabled_at_start = _is_grad_enabled()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def _show_to(self, seam: Intervention) -> None:
        tables = self.tables

        def meet(value: int, tensor: torch.Tensor) -> None:
            with tables.unrecorded():
                seam.meet(tables, value, tensor)

        tables.met.append(meet)

    # what others see and set

    @property
    def names(self) -> tuple[str, ...]:
        """The names of operations, by the number that the rows give."""
        return self.tables.names

    @property
    def functions(self) -> dict[str, type]:
        """The classes of the Functions that were applied, by the name of the operation."""
        return self.announced.functions

    @property
    def inside(self) -> str:
        """The operation that runs now and whose inside is not recorded."""
        return self.announced.inside

    @property
    def failed(self) -> BaseException | None:
        """What failed in gradflow itself, where that is kept."""
        return self.aside.error

    @property
    def suspended(self) -> int:
        """Nothing is recorded while this is not zero."""
        return self.tables.suspended

    @suspended.setter
    def suspended(self, value: int) -> None:
        self.tables.suspended = value

    @property
    def call(self) -> int:
        """The module call that runs; -1 for none."""
        return self.tables.call

    @call.setter
    def call(self, value: int) -> None:
        self.tables.call = value

    def look_at(self, function: Any, around: Around, *, unrecorded: Around | None = None) -> None:
        """Call ``around`` in the place of a function of torch that is no operation, for it to be called once.

        ``unrecorded`` is called where recording is suspended, as it is inside a custom Function.
        """
        self.special.look_at(function, around, unrecorded=unrecorded)
        self._kinds.clear()

    def pass_through(self, function: Any) -> None:
        """Let a function of torch run without making a row: whoever replaces it tells what it does."""
        self.special.pass_through(function)
        self._kinds.clear()

    def step_aside(self, error: BaseException) -> None:
        """Record no more: our own code has failed, and what the program does goes on without it."""
        self.aside.note(error)

    def is_own_thread(self) -> bool:
        """Whether this is the thread whose operations are recorded."""
        return get_ident() == self.tables.thread

    def is_off(self) -> bool:
        """Whether what happens now is not to be noted."""
        if self.tables.suspended and self.look_again is not None and self.is_own_thread():
            self.look_again(sys._getframe(1))
        return self.tables.suspended > 0 or not self.is_own_thread()

    # operations

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        try:
            try:
                if type(func) is FunctionType:
                    func = asked_function(func, sys._getframe(1))
                kind, name, text = self._kinds.get(func) or self._classify(func)
                tables = self.tables
                if kind != _IGNORE:
                    frame = sys._getframe(1)
                    if tables.suspended and self.look_again is not None:
                        self.look_again(frame)
            except Exception as error:  # noqa: BLE001  (an observer that fails steps aside)
                self.aside.note(error)
                kind = _IGNORE
            if kind == _IGNORE:
                return run_theirs(func, args, kwargs or _NO_KEYWORDS)
            if tables.suspended and kind == _SPECIAL and (around := self.special.around_unrecorded(func)) is not None:
                return self.aside.once(around, func, args, kwargs or _NO_KEYWORDS, frame)
            if tables.suspended or innermost_transform() is not None:
                return self._run_unrecorded(func, args, kwargs or _NO_KEYWORDS, kind, text)
            if kind >= _EXPOSE:
                return self._run_special(func, args, kwargs or _NO_KEYWORDS, kind, frame)
            if kind == _GRAD_MODE:
                return self._change_grad_mode(func, args, frame)
            return self._run_recorded(func, args, kwargs or _NO_KEYWORDS, kind, name, text, frame)
        except BaseException as error:
            self._pass_on(error)
            raise

    def _classify(self, func: Any) -> tuple[int, int, str]:
        kind, name = classify(func)
        if self.special.is_passed_through(func):
            kind = _IGNORE
        elif self.special.is_looked_at(func):
            kind = _SPECIAL
        found = self._kinds[func] = (kind, self.tables.number_of_name(name), name)
        return found

    def _pass_on(self, error: BaseException) -> None:
        """An exception goes on to the program."""
        if self._is_guest:
            leave_out_own_frames(error)
        elif isinstance(error, Exception) and is_ours(error):
            self.aside.note(error)
        # what the handler of a signal raises, Ctrl-C above all, may come in the middle of a row
        self.tables.drop_open_row()

    def _run_unrecorded(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], kind: int, text: str) -> Any:
        """Run what is not recorded; what it writes to or hands out is announced all the same."""
        try:
            if not self.tables.suspended:
                self.is_differentiated = self.is_differentiated or differentiates()
                self.elsewhere.note_read((args, kwargs))
            for tell in self.unrecorded if self.tables.suspended else ():
                tell((args, kwargs))
        except Exception as error:  # noqa: BLE001  (an observer that fails steps aside)
            self.aside.note(error)
        if self._announce is not None and (kind in (_INPLACE, _EXPOSE) or "out" in kwargs or text in EXPOSING):
            self._announce(kwargs.get("out", args[0] if args else None))
        return run_announcing(func, args, kwargs, self._announce)

    def _run_special(
        self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], kind: int, frame: FrameType
    ) -> Any:
        """Run what is no operation, and tell who looks at it."""
        if kind == _SPECIAL:
            return self.aside.once(self.special.around(func), func, args, kwargs, frame)
        try:
            if kind == _HOOK:
                self.elsewhere.note_hooked(args)
            else:
                self.note_given_away(args)
            if kind == _EXPOSE:
                self.before_exposing(args[0] if args else None)
        except Exception as error:  # noqa: BLE001  (an observer that fails steps aside)
            self.aside.note(error)
        return run_theirs(func, args, kwargs)

    def _change_grad_mode(self, func: Callable[..., Any], args: tuple[Any, ...], frame: FrameType) -> Any:
        was_enabled = _is_grad_enabled()
        if was_enabled and not args[0] and self.keeps_recording(frame):
            return run_theirs(func, (True,))
        result = run_theirs(func, args)
        try:
            self.modes.note_change(was_enabled, frame)
        except Exception as error:  # noqa: BLE001  (an observer that fails steps aside)
            self.aside.note(error)
        return result

    def before_exposing(self, tensor: Any) -> None:
        """The memory of a tensor is handed out: it may be written to from now on, unseen."""
        if self.before_write is not None:
            self.before_write(tensor)

    def note_given_away(self, read: Any) -> None:
        """Memory or text of tensors is handed out: their values may come back in ways that are not recorded."""
        self.elsewhere.note_given_away(read)
        if self.seam is not None:
            self.seam.give_away(read)

    def record_call(
        self,
        name: str,
        function: Callable[[], Any],
        inputs: Any,
        *,
        inner: bool = False,
        also_read: AlsoRead = nothing_more,
    ) -> Any:
        """Log something that the mode cannot see by itself as one operation; its inside is not recorded.

        ``inner`` lets the inside be recorded too, and counts what it made as inputs of the whole. ``also_read`` is
        asked, with the result, for what it has read besides ``inputs``.
        """
        inputs, frame = tuple(inputs), sys._getframe(1)
        try:
            site = self._site_of(frame)
            if site is None:
                return run_theirs(function)
            if self.seam is None:
                return self.announced.follow(name, function, inputs, site, inner=inner, also_read=also_read)
            call = Call(
                recorder=self.tables,
                name=name,
                site=site,
                arguments=inputs,
                function=self.announced.function_of(name),
                is_announced=True,
                runs_modules=inner,
            )
            return carry_out(
                self.seam,
                call,
                lambda: self.announced.follow(name, function, inputs, site, inner=inner, also_read=also_read),
            )
        except BaseException as error:
            self._pass_on(error)
            raise

    def _site_of(self, frame: FrameType) -> int | None:
        """The number of the place; ``None`` where that fails, and nothing more is recorded."""
        try:
            return self.sites.number(frame)
        except Exception as error:  # noqa: BLE001  (an observer that fails steps aside)
            self.aside.note(error)
            return None

    def listening(self) -> contextlib.AbstractContextManager[None]:
        """Record also where torch has put function modes aside, as it does during a backward pass."""
        return on_stack(self)

    # regions

    def keeps_recording(self, frame: FrameType | None) -> bool:
        """Whether an experiment leaves out what is about to switch recording off."""
        return self.modes.keeps_recording(frame)

    def enter_inference(self, context: object, enabled: bool) -> None:
        """Called when an ``inference_mode`` region begins."""
        self.aside.looking(self.modes.enter_inference)(context, enabled, sys._getframe(1))

    def leave_inference(self, context: object) -> None:
        """Called when an ``inference_mode`` region ends."""
        self.aside.looking(self.modes.leave_inference)(context)
