"""Reports as files; every renderer is a pure function of a :class:`~gradflow.report.Report`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gradflow.errors import RenderError

if TYPE_CHECKING:
    from gradflow.report import Report

__all__ = ["EXTENSIONS", "save"]


def save(report: Report, path: str | Path) -> Path:
    """Write a report in the format that the file's extension names; a file that was there is replaced as a whole.

    Parameters
    ----------
    report
        Any report.
    path
        Ends in one of :data:`EXTENSIONS`, in upper or lower case.

    Raises
    ------
    RenderError
        When the extension is unknown, or the file cannot be written.
    """
    path = Path(path)
    render = _RENDERERS.get(path.suffix.lower())
    if render is None:
        known = ", ".join(EXTENSIONS)
        what = f"`{path.suffix}` is no format of a report" if path.suffix else f"`{path}` has no extension"
        raise RenderError(what, note=f"the extension chooses the format: {known}", hint="for example `report.svg`")
    _write(path, render(report))
    return path


def _write(path: Path, content: bytes) -> None:
    """All or nothing: written beside the target and then put in its place."""
    temporary: Path | None = None
    path = path.resolve()  # a link stays a link: what it points at is replaced
    try:
        if path.is_dir():
            raise IsADirectoryError(f"`{path}` is a folder")
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.chmod(_mode(path))
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        hint = "" if path.parent.is_dir() else f"make the folder first: `{path.parent}`"
        raise RenderError(f"`{path}` cannot be written", note=reason, hint=hint) from error


def _mode(path: Path) -> int:
    """The permissions of the file that is replaced, else those of any new file."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


# each renderer is loaded only when its format is asked for: a JSON file needs no Graphviz


def _svg(report: Report) -> bytes:
    from gradflow.render.drawing import render_svg

    return render_svg(report).encode()


def _dot(report: Report) -> bytes:
    from gradflow.render.drawing import render_dot

    return render_dot(report).encode()


def _png(report: Report) -> bytes:
    from gradflow.render.drawing import render_bytes

    return render_bytes(report, "png")


def _pdf(report: Report) -> bytes:
    from gradflow.render.drawing import render_bytes

    return render_bytes(report, "pdf")


def _json(report: Report) -> bytes:
    from gradflow.render.json_report import dumps

    return dumps(report).encode()


def _text(report: Report) -> bytes:
    from gradflow.render.terminal import render_text

    return render_text(report).encode()


def _markdown(report: Report) -> bytes:
    from gradflow.render.markdown import render_markdown

    return render_markdown(report).encode()


def _sarif(report: Report) -> bytes:
    from gradflow.render.sarif import render_sarif

    return render_sarif(report).encode()


def _html(report: Report) -> bytes:
    from gradflow.render.drawing import render_svg
    from gradflow.render.html import render_html

    return render_html(report, svg=render_svg(report) if len(report.flow) else "").encode()


_RENDERERS: dict[str, Callable[[Report], bytes]] = {
    ".svg": _svg,
    ".dot": _dot,
    ".png": _png,
    ".pdf": _pdf,
    ".json": _json,
    ".html": _html,
    ".md": _markdown,
    ".sarif": _sarif,
    ".txt": _text,
}
EXTENSIONS = tuple(_RENDERERS)
"""The extensions that :func:`save` knows."""
