"""TOML files of a project, read with a limit."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from gradflow.load.paths import read_bounded

__all__ = ["declares_models", "read_toml"]

_MOST_BYTES = 16 * 1024**2


def declares_models(pyproject: Path) -> bool:
    """Whether a file may declare models, at the price of reading it; ``False`` for what is no ordinary file."""
    try:
        return b"[tool.gradflow" in read_bounded(pyproject, _MOST_BYTES)
    except (OSError, ValueError):
        return False


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file of at most 16 MiB.

    Raises
    ------
    OSError
        When there is no such file, it is larger, or it is a pipe or a device.
    ValueError
        When it is no TOML.
    """
    try:
        return tomllib.loads(read_bounded(path, _MOST_BYTES).decode("utf-8"))
    except RecursionError as error:
        raise ValueError("its tables are nested too deeply") from error
