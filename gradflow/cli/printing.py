"""Printing to stdout, which may be full, closed, or unable to show a character."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator

from gradflow.errors import RenderError

__all__ = ["printing"]


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
        # what is still buffered can go nowhere; without this Python would complain again when it closes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise RenderError(f"cannot write to stdout: {error.strerror or error}") from error
