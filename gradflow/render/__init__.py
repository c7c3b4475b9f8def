"""Reports as files; every renderer is a pure function of a :class:`~gradflow.report.Report`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gradflow.output.formats import extensions_of, format_named
from gradflow.output.marks import with_mark
from gradflow.output.named import output_path
from gradflow.output.whole_file import write_whole

if TYPE_CHECKING:
    from gradflow.report import Report

__all__ = ["ALL_FORMATS", "EXTENSIONS", "FORMATS", "file_content", "save"]


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


def file_content(report: Report, path: Path, format_: str | None = None) -> bytes:
    """What :func:`save` writes, with the mark by which gradflow knows its files again.

    ``format_`` is one of :data:`ALL_FORMATS`, by default the one that the extension names.

    Raises
    ------
    RenderError
        When the extension is unknown, or Graphviz is needed and missing.
    """
    name = format_named(path, _RENDERERS, "a report") if format_ is None else format_
    content = _RENDERERS[name](report)
    if isinstance(content, str):
        content = (content if content.endswith("\n") or not content else content + "\n").encode()
    return with_mark(content, name, path)


# each renderer is loaded only when its format is asked for: a JSON file needs no Graphviz


def _svg(report: Report) -> str:
    from gradflow.render.drawing import render_svg

    return render_svg(report)


def _dot(report: Report) -> str:
    from gradflow.render.drawing import render_dot

    return render_dot(report)


def _png(report: Report) -> bytes:
    from gradflow.render.drawing import render_bytes

    return render_bytes(report, "png")


def _pdf(report: Report) -> bytes:
    from gradflow.render.drawing import render_bytes

    return render_bytes(report, "pdf")


def _text(report: Report) -> str:
    from gradflow.render.terminal import render_text

    return render_text(report)


def _concise(report: Report) -> str:
    from gradflow.render.concise import render_concise

    return render_concise(report)


def _json(report: Report) -> str:
    from gradflow.render.json_report import dumps

    return dumps(report)


def _markdown(report: Report) -> str:
    from gradflow.render.markdown import render_markdown

    return render_markdown(report)


def _sarif(report: Report) -> str:
    from gradflow.render.sarif import render_sarif

    return render_sarif(report)


def _html(report: Report) -> str:
    from gradflow.render.drawing import render_svg
    from gradflow.render.html import render_html

    return render_html(report, svg=render_svg(report) if len(report.flow) else "")


FORMATS: dict[str, Callable[[Report], str]] = {
    "text": _text,
    "concise": _concise,
    "json": _json,
    "markdown": _markdown,
    "html": _html,
    "sarif": _sarif,
}
"""The formats that can be printed."""
_DRAWINGS: dict[str, Callable[[Report], str | bytes]] = {"svg": _svg, "dot": _dot, "png": _png, "pdf": _pdf}
_RENDERERS: dict[str, Callable[[Report], str | bytes]] = {**_DRAWINGS, **FORMATS}
ALL_FORMATS = tuple(_RENDERERS)
"""The formats that a file can have."""
EXTENSIONS = extensions_of(ALL_FORMATS)
"""The extensions that :func:`save` knows."""
