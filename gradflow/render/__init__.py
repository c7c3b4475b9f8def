"""Reports as files; every renderer is a pure function of a :class:`~gradflow.report.Report`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gradflow.errors import RenderError
from gradflow.output.marks import with_mark
from gradflow.output.named import output_path
from gradflow.output.whole_file import write_whole

if TYPE_CHECKING:
    from gradflow.report import Report

__all__ = ["EXTENSIONS", "file_content", "save"]


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
    path = output_path(path)
    write_whole(path, file_content(report, path))
    return path


def file_content(report: Report, path: Path) -> bytes:
    """What :func:`save` writes, with the mark by which gradflow knows its files again.

    Raises
    ------
    RenderError
        When the extension is unknown, or Graphviz is needed and missing.
    """
    suffix = path.suffix.lower()
    render = _RENDERERS.get(suffix)
    if render is None:
        known = ", ".join(EXTENSIONS)
        what = f"`{path.suffix}` is no format of a report" if path.suffix else f"`{path}` has no extension"
        raise RenderError(what, note=f"the extension chooses the format: {known}", hint="for example `report.svg`")
    return with_mark(render(report), _KINDS.get(suffix, ""), path)


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
_KINDS = {".dot": "dot", ".png": "png", ".pdf": "pdf", ".md": "markdown", ".txt": "text"}  # the others name gradflow
EXTENSIONS = tuple(_RENDERERS)
"""The extensions that :func:`save` knows."""
