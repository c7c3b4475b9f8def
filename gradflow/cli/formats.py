"""The formats a report can be shown in, and how one is printed or written to a file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from gradflow.cli.outputs import Outputs
from gradflow.cli.printing import printing
from gradflow.output.marks import with_mark
from gradflow.report import Report

__all__ = ["FORMATS", "PICTURES", "format_of", "show"]

PICTURES = (".svg", ".dot", ".png", ".pdf")
_FORMAT_BY_SUFFIX = {
    ".json": "json",
    ".txt": "text",
    ".md": "markdown",
    ".html": "html",
    ".sarif": "sarif",
}


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


def format_of(path: Path | None) -> str:
    """The format that a file's suffix stands for; ``text`` where it stands for none."""
    return "text" if path is None else _FORMAT_BY_SUFFIX.get(path.suffix.lower(), "text")


def show(report: Report, format_: str, output: Path | None, outputs: Outputs) -> None:
    """Print a report, or write it to a file, one of ``outputs``.

    Raises
    ------
    UsageError, RenderError
        When the file cannot be written; then it is as it was before.
    """
    if output is None:
        with printing():
            _print(report, format_)
    else:
        outputs.write(output, with_mark(_whole_lines(FORMATS[format_](report)).encode(), format_, output))


def _print(report: Report, format_: str) -> None:
    if format_ == "text":
        from gradflow.render.terminal import make_console, print_report

        print_report(report, make_console())
    else:
        sys.stdout.write(_whole_lines(FORMATS[format_](report)))


def _whole_lines(text: str) -> str:
    return text if text.endswith("\n") or not text else text + "\n"
