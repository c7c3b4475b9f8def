"""Printing to stdout and stderr, which may be full, closed, not there at all, or unable to show a character."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from gradflow.errors import RenderError
from gradflow.printable import inert

__all__ = ["printing", "say", "standing_in", "without_stand_ins"]


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """Print inside this block; afterwards everything is out.

    Raises
    ------
    BrokenPipeError
        When the reader has left, as in ``gradflow explain | head``.
    RenderError
        When stdout cannot be written to.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except SystemExit as stop:  # how rich answers a reader that has left
        raise BrokenPipeError from stop
    except OSError as error:
        _give_up(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise
        raise RenderError(f"cannot write to stdout: {error.strerror or error}") from error
    except ValueError as error:
        if not sys.stdout.closed:
            raise
        raise RenderError("cannot write to stdout: it is closed") from error


def say(text: str, *, has_colour: bool = False) -> None:
    """Print on stderr what drives no reader; where that is full or closed, there is nobody left who could be told."""
    try:
        print(inert(text, has_colour=has_colour), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        _give_up(sys.stderr)


@contextlib.contextmanager
def standing_in() -> Iterator[None]:
    """Let what is printed go nowhere where a stream was closed before Python started, as by ``>&-`` in a shell.

    Python has ``None`` for such a stream, and the next file that is opened would get its number.
    """
    with contextlib.ExitStack() as opened:
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:
                setattr(sys, name, opened.enter_context(_Nowhere()))
                opened.callback(setattr, sys, name, None)
        yield


@contextlib.contextmanager
def without_stand_ins() -> Iterator[None]:
    """The streams as Python has them, for a program that is not gradflow's."""
    names = [name for name in ("stdout", "stderr") if isinstance(getattr(sys, name), _Nowhere)]
    held = {name: getattr(sys, name) for name in names}
    for name in names:
        setattr(sys, name, None)
    try:
        yield
    finally:
        for name, stream in held.items():
            if getattr(sys, name) is None:
                setattr(sys, name, stream)


class _Nowhere(io.TextIOWrapper):
    """A stream that nobody reads."""

    def __init__(self) -> None:
        super().__init__(open(os.devnull, "wb"), encoding="utf-8", errors="backslashreplace")  # noqa: PTH123, SIM115


def _give_up(stream: TextIO) -> None:
    """Send what is still buffered nowhere: Python would complain again, with a status of its own, when it closes it."""
    with contextlib.suppress(OSError, ValueError):  # a stream without a file has nothing that Python would flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
