"""The file that somebody names for an output."""

from __future__ import annotations

import os
from pathlib import Path

from gradflow.errors import LoadError, RenderError
from gradflow.user_path import user_path

__all__ = ["output_path"]


def output_path(name: str | os.PathLike[str]) -> Path:
    """Where an output goes, with ``~`` opened as for what is read.

    Shells leave the ``~`` of ``--output=~/r.txt`` as it is, and so does :class:`~pathlib.Path`.

    Raises
    ------
    RenderError
        When ``~name`` names no user, or the text cannot be a path.
    """
    try:
        return user_path(os.fspath(name))
    except LoadError as error:
        raise RenderError(error.message, note=error.note, hint=error.hint) from error
