"""How a place in source code is named to a person."""

from __future__ import annotations

from pathlib import Path

from gradflow.cell import cell_number
from gradflow.location import SourceSpan
from gradflow.printable import printable

__all__ = ["function_name", "place", "qualified_name", "shown_path"]

_PACKAGE_DIRECTORIES = ("site-packages", "dist-packages")


def shown_path(path: str) -> str:
    """A file's path as a person would type it; ``cell [3]`` for a cell of a notebook.

    Relative where it is below the current directory, from the package on for an installed package
    (``torchvision/models/resnet.py``), and as it is otherwise. What cannot be printed in it is an escape.
    """
    return printable(_usual_path(path))


def _usual_path(path: str) -> str:
    cell = cell_number(path)
    if cell is not None:
        return f"cell [{cell}]"
    parts = path.replace("\\", "/").split("/")
    for directory in _PACKAGE_DIRECTORIES:
        if directory in parts:
            return "/".join(parts[len(parts) - parts[::-1].index(directory) :])
    try:
        return Path(path).relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):  # elsewhere, or the current directory is gone
        return path


def function_name(span: SourceSpan) -> str:
    """The function's :func:`qualified_name`, ready to print."""
    return printable(qualified_name(span))


def qualified_name(span: SourceSpan) -> str:
    """The function's qualified name without the functions it is nested in, as it is; empty at module level."""
    name = span.function.rpartition("<locals>.")[2]
    return "" if name == "<module>" else name


def place(span: SourceSpan) -> str:
    """``path:line:column``, the form that editors turn into a link; in a notebook ``cell [3], line 4``."""
    if cell_number(span.path) is not None:
        return f"{shown_path(span.path)}, line {span.line}"
    column = f":{span.column}" if span.column is not None else ""
    return f"{shown_path(span.path)}:{span.line}{column}"
