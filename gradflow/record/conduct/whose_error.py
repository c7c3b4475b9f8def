"""Tells an exception of the model's from one of gradflow's own code that torch called while the model ran.

gradflow's hooks and recorders are called inside the model's forward and backward, and call the model's operations in
turn: an exception passes frames of both. What is the model's is called through :func:`run_theirs` alone, so the
innermost frame of gradflow's tells whose it was.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, TracebackType
from typing import Any, ParamSpec, TypeVar

from gradflow.errors import GradflowError, InternalError, unexpected
from gradflow.location import own_directory
from gradflow.program_warnings.levels import warn_for_program

__all__ = ["is_ours", "our_error", "reason_of", "run_theirs", "stepping_aside", "telling_our_errors"]

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")

_NO_KEYWORDS: Mapping[str, Any] = {}


def run_theirs(
    function: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] = _NO_KEYWORDS
) -> Any:
    """Call what belongs to the model, or an operation of it: an exception from in here is the model's."""
    return function(*args, **kwargs)


_PASSING_ON = (run_theirs.__code__, warn_for_program.__code__)
"""Functions of gradflow that only call what is the program's."""


def stepping_aside(callback: Callable[..., Any], step_aside: Callable[[Exception], None]) -> Callable[..., Any]:
    """The same callback, but one that never raises into the model: it says what it raised to ``step_aside``."""

    def called(*args: Any) -> Any:
        try:
            return callback(*args)
        except Exception as error:  # noqa: BLE001  (an observer that fails steps aside)
            step_aside(error)
            return None

    return called


def is_ours(error: BaseException) -> bool:
    """Whether an exception, or one that it came from, was raised by gradflow's own code or by what that had called.

    A stack that is full was filled by whoever has most of it, wherever it overflowed; that shows only in an exception
    that has passed all of it.
    """
    return any(_is_raised_by_us(one) for one in _chain(error) if one is error or not isinstance(one, RecursionError))


def our_error(error: BaseException) -> GradflowError:
    """What the user is told of an exception that :func:`is_ours`."""
    if isinstance(error, GradflowError):
        return error
    culprit = next((one for one in _chain(error) if _is_raised_by_us(one)), error)
    told = unexpected(culprit)
    told.__cause__ = error
    return told


def reason_of(error: BaseException, theirs: str) -> str:
    """Why an experiment brought nothing: ``theirs``, such as "it cannot be called by itself", or a mistake of ours."""
    told = ": ".join(filter(None, (type(error).__name__, " ".join(str(error).split())[:160])))
    return f"of a mistake of gradflow's own ({told}): please report it" if is_ours(error) else f"{theirs}: {told}"


def telling_our_errors(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """The same function, which tells what it did not expect as a mistake of gradflow (see :class:`InternalError`)."""

    @functools.wraps(function)
    def told(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        try:
            return function(*args, **kwargs)
        except GradflowError:
            raise
        except Exception as error:
            raise our_error(error) from error

    return told


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that it came from."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def _is_raised_by_us(error: BaseException) -> bool:
    if isinstance(error, InternalError):
        return True
    codes = list(_codes(error.__traceback__))
    last = max((number for number, code in enumerate(codes) if _is_own(code)), default=-1)
    if last < 0 or codes[last] in _PASSING_ON:
        return False
    if not isinstance(error, RecursionError):
        return True
    while last > 0 and _is_own(codes[last - 1]) and codes[last - 1] not in _PASSING_ON:
        last -= 1
    return len(codes) - last > last


def _codes(traceback: TracebackType | None) -> Iterator[CodeType]:
    while traceback is not None:
        yield traceback.tb_frame.f_code
        traceback = traceback.tb_next


def _is_own(code: CodeType) -> bool:
    return code.co_filename.startswith(own_directory())
