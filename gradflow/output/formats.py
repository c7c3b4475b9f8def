"""The formats of the files that gradflow writes: the one table of what the ending of a name stands for."""

from __future__ import annotations

import mimetypes
from collections.abc import Collection
from pathlib import Path

from gradflow.errors import RenderError
from gradflow.output.whole_file import is_stream

__all__ = ["PICTURES", "chosen_format", "extensions_of", "format_named", "said_of_file"]

_FORMATS = {
    ".svg": "svg",
    ".dot": "dot",
    ".png": "png",
    ".pdf": "pdf",
    ".json": "json",
    ".html": "html",
    ".md": "markdown",
    ".sarif": "sarif",
    ".txt": "text",
}
_KINDS = mimetypes.MimeTypes()  # as Python knows them: what the machine has registered would make a difference
PICTURES = ("svg", "dot", "png", "pdf")
"""The formats that are a drawing of the graph."""


def extensions_of(formats: Collection[str]) -> tuple[str, ...]:
    """The endings that stand for one of these formats."""
    return tuple(extension for extension, name in _FORMATS.items() if name in formats)


def format_named(path: Path, formats: Collection[str], what: str) -> str:
    """The format that a file's extension names, in upper or lower case.

    Parameters
    ----------
    path
        The file.
    formats
        Those that can be made.
    what
        What of: "an audit", "a report".

    Raises
    ------
    RenderError
        When it names another one, or none.
    """
    name = _FORMATS.get(path.suffix.lower())
    if name is not None and name in formats:
        return name
    known = extensions_of(formats)
    problem = f"`{path.suffix}` is no format of {what}" if path.suffix else f"`{path}` has no extension"
    raise RenderError(
        problem, note=f"the extension chooses the format: {', '.join(known)}", hint=f"for example `report{known[0]}`"
    )


def _is_of_a_kind(path: Path) -> bool:
    """Whether the ending stands for something that plain text is not: a picture, an archive, a page."""
    suffix = path.suffix.lower()
    kind = _KINDS.types_map[True].get(suffix) or _KINDS.types_map[False].get(suffix) or "text/plain"
    return suffix in _FORMATS or not kind.startswith("text/")


def chosen_format(given: str | None, path: Path | None, formats: Collection[str], what: str) -> str:
    """What a command writes to ``path`` (``None``: prints): the format that is ``given``, else the one that is named.

    A name that stands for no other kind of file gets text: one without an ending or with an unknown one, a device.

    Raises
    ------
    RenderError
        When no such report can be made.
    """
    if given is not None:
        if given not in formats:
            raise RenderError(f"`{given}` is no format of {what}", note=f"there are {', '.join(formats)}")
        return given
    if path is None or is_stream(path) or not _is_of_a_kind(path):
        return "text"
    try:
        return format_named(path, formats, what)
    except RenderError as error:
        raise RenderError(
            error.message, note=error.note, hint=f"{error.hint}, or say the format: `--format text`"
        ) from error


def said_of_file(path: Path, format_: str) -> str:
    """``wrote report.json``; that it is text where nobody would know it from the name."""
    if format_ != "text" or not path.suffix or path.suffix.lower() in _FORMATS:
        return f"wrote {path}"
    return f"wrote {path} as text: `{path.suffix}` stands for no format, and `--format` says one"
