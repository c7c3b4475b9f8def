"""Warnings of a program name its own lines, although gradflow's frames are in between."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from gradflow.program_warnings.levels import warnings_skip_gradflow
from gradflow.program_warnings.places import warnings_at_their_line

__all__ = ["warnings_as_without_gradflow"]


@contextlib.contextmanager
def warnings_as_without_gradflow() -> Iterator[None]:
    """For the time of a program: what C code warns of, and what counts frames by ``stacklevel``."""
    with warnings_at_their_line(), warnings_skip_gradflow():
        yield
