"""The one place where gradflow's own mistakes end: an observer that fails steps aside, and the program goes on.

Every callback of an observer is wrapped here. One that only looks (:meth:`Aside.looking`) raises nothing. One that has
an operation of the program inside (:meth:`Aside.around`) gets it as an object that runs it: whatever fails before or
after it, the operation runs exactly once, and its own exception is the only one that the program sees.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from gradflow.location import own_directory
from gradflow.record.conduct.signal_handlers import is_of_signal_handler
from gradflow.record.conduct.their_exceptions import set_traceback, traceback_of

__all__ = ["Aside", "Operation", "leave_out_own_frames", "leave_out_this_frame"]

_OWN = own_directory()


def leave_out_this_frame(error: BaseException) -> None:
    """Take the frame that caught an exception, and is about to raise it again, from its traceback."""
    traceback = traceback_of(error)
    if traceback is not None:
        set_traceback(error, traceback.tb_next)


def leave_out_own_frames(error: BaseException) -> None:
    """The same for all frames of gradflow's that lie between who catches it and the program."""
    traceback = traceback_of(error)
    while traceback is not None and traceback.tb_frame.f_code.co_filename.startswith(_OWN):
        traceback = traceback.tb_next
    set_traceback(error, traceback)


def _is_of_the_call_itself(error: BaseException) -> bool:
    """Whether it was raised as arguments were bound to parameters: nothing of what was called has run."""
    traceback = traceback_of(error)
    return traceback is not None and traceback.tb_next is None


class Operation:
    """Something of the program's, to be called once by the observer around it.

    Attributes
    ----------
    has_ended
        Whether it returned ``result``.
    error
        What it raised, with the frames ``below`` the call.
    """

    __slots__ = ("_function", "below", "error", "has_ended", "result")

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.error: BaseException | None = None
        self.below: TracebackType | None = None
        self.has_ended = False
        self.result: Any = None

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run it."""
        try:
            self.result = self._function(*args, **kwargs)
        except BaseException as error:
            self.error = error
            # no name for the traceback here: it has this frame in it, and would live on in a circle
            self.below = getattr(traceback_of(error), "tb_next", None)
            raise
        self.has_ended = True
        return self.result


def _returns(operation: Operation, args: Any, kwargs: Any) -> bool:
    """Run it, and tell whether it returned; what it raised is its ``error``."""
    try:
        operation(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001  (the program's, raised again by who asks)
        set_traceback(error, operation.below)
    return operation.has_ended


class Aside:
    """Notes what failed in gradflow itself, and ends the observation.

    Parameters
    ----------
    end
        Called at the first failure: nothing more is to be recorded.
    keeps_error
        Keep what was raised, and with it the frames that it passed and all that they hold.

    Attributes
    ----------
    failure
        What failed, in words; empty as long as nothing has.
    error
        The exception, where it is kept.
    """

    def __init__(self, end: Callable[[], None], *, keeps_error: bool = False) -> None:
        self.failure = ""
        self.error: BaseException | None = None
        self._end = end
        self._keeps_error = keeps_error
        self._around: list[list[functools.partial[Any]]] = []

    def note(self, error: BaseException) -> None:
        """Something of gradflow's own failed; what a signal handler of the program raised meanwhile goes on to it."""
        if is_of_signal_handler(error):
            raise error
        if not self.failure:
            at = error.__traceback__
            while at is not None and at.tb_next is not None:
                at = at.tb_next
            where = f" in {Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}" if at is not None else ""
            self.failure = f"{type(error).__name__}{where}"
            self.error = error if self._keeps_error else None
            self._end()

    def looking(self, callback: Callable[..., None]) -> Callable[..., None]:
        """A callback that only looks, and leaves the program's values alone."""

        @functools.wraps(callback)
        def call(*args: Any, **kwargs: Any) -> None:
            try:
                callback(*args, **kwargs)
            except Exception as error:  # noqa: BLE001  (ours, not the program's)
                self.note(error)

        return call

    def around(self, watch: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
        """``original`` as the program calls it; ``watch(operation, *args, **kwargs)`` is to call the operation.

        A program gives its keywords the names that it likes: the parameters of ``watch`` that ``original`` does not
        have are positional only.
        """
        held = [functools.partial(self.once, watch, original)]
        self._around.append(held)

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not held:
                return original(*args, **kwargs)
            try:
                return held[0](args, kwargs)
            except BaseException as error:
                leave_out_this_frame(error)
                raise

        return call

    def release(self) -> None:
        """All is over: what others have kept of what was put around their functions is nothing but those functions."""
        for held in self._around:
            held.clear()
        self._around.clear()

    def once(
        self, watch: Callable[..., Any], original: Callable[..., Any], args: Any, kwargs: Any, *context: Any
    ) -> Any:
        """Call ``watch(operation, *context, *args, **kwargs)``, and make sure that ``original`` runs once."""
        operation = Operation(original)
        refusal: TypeError | None = None
        try:
            return watch(operation, *context, *args, **kwargs)
        except BaseException as error:
            if error is operation.error:
                # as the operation raised it: its traceback is that of the program, and nothing refers to it in a circle
                set_traceback(error, operation.below)
                operation.error = operation.below = None
                raise
            if not isinstance(error, Exception):
                operation.error = operation.below = None
                raise
            if isinstance(error, TypeError) and _is_of_the_call_itself(error):
                refusal = error.with_traceback(None)
            else:
                self.note(error)
        # what cannot be passed to an observer is the program's own mistake, where the operation does not take it either
        if refusal is not None and _returns(operation, args, kwargs):
            self.note(refusal)
        if operation.has_ended:
            return operation.result
        raised, operation.error, operation.below = operation.error, None, None
        if raised is None:
            return original(*args, **kwargs)
        try:
            raise raised
        finally:
            del raised

    @contextlib.contextmanager
    def observer(self, watching: Callable[[], contextlib.AbstractContextManager[Any]]) -> Iterator[None]:
        """An observer for the time of the block; where it cannot begin or end, the block runs all the same."""
        try:
            watched = watching()
            watched.__enter__()
        except Exception as error:  # noqa: BLE001  (ours, not the program's)
            self.note(error)
            yield
            return
        try:
            yield
        finally:
            try:
                watched.__exit__(None, None, None)
            except Exception as error:  # noqa: BLE001  (ours, not the program's)
                self.note(error)
