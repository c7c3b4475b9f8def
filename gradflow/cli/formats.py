"""How a report is printed or written to a file, in one of its formats."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from gradflow.cli.outputs import Outputs
from gradflow.cli.printing import printing
from gradflow.output.formats import PICTURES as PICTURE_FORMATS
from gradflow.output.formats import chosen_format, extensions_of
from gradflow.render import ALL_FORMATS, FORMATS, file_content
from gradflow.report import Report

__all__ = ["FORMATS", "PICTURES", "report_and_pictures", "show"]

PICTURES = extensions_of(PICTURE_FORMATS)
"""The endings of files with a drawing."""


def report_and_pictures(
    given: str | None, output: Path | None, pictures: Sequence[Path]
) -> tuple[str, Path | None, list[Path]]:
    """The format and the file of a report, and the files with drawings.

    ``--output graph.svg`` is what ``--svg graph.svg`` is: a drawing says less than the report, which is printed.

    Raises
    ------
    RenderError
        When the file's name names another format than those of a report.
    """
    format_ = chosen_format(given, output, ALL_FORMATS, "a report")
    if format_ in PICTURE_FORMATS and output is not None:
        return "text", None, [output, *pictures]
    return format_, output, list(pictures)


def show(report: Report, format_: str, output: Path | None, outputs: Outputs) -> None:
    """Print a report, or write it to a file, one of ``outputs``; a drawing goes to files only.

    Raises
    ------
    UsageError, RenderError
        When the file cannot be written; then it is as it was before.
    """
    if output is None:
        with printing():
            _print(report, format_)
    else:
        outputs.write(output, file_content(report, output, format_))


def _print(report: Report, format_: str) -> None:
    if format_ == "text":
        from gradflow.render.terminal import make_console, print_report

        print_report(report, make_console())
    else:
        sys.stdout.write(_whole_lines(FORMATS[format_](report)))


def _whole_lines(text: str) -> str:
    return text if text.endswith("\n") or not text else text + "\n"
