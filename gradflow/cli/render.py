"""`gradflow render`: a saved report in another form, without torch and without the model."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection
from pathlib import Path

from gradflow.audit_report import AuditReport
from gradflow.cli.audit import show_audit
from gradflow.cli.formats import FORMATS, show
from gradflow.cli.outputs import Outputs, add_force_option
from gradflow.cli.parser import one_of
from gradflow.cli.verb import Subparsers
from gradflow.errors import RenderError, UsageError
from gradflow.load.paths import read_bounded
from gradflow.output.formats import chosen_format, format_named
from gradflow.output.named import output_path
from gradflow.output.sources import named_files
from gradflow.render import ALL_FORMATS
from gradflow.render.audit_formats import AUDIT_FORMATS
from gradflow.report import Report
from gradflow.user_path import user_path

__all__ = ["Render", "read_report"]

_MOST_BYTES = 2**30
"""Of a report; one of the largest graph that is drawn has some hundred MiB."""

_EPILOG = """
examples:

  gradflow check resnet50 --layer layer4 --output r.json
  gradflow render r.json
  gradflow render r.json -o graph.svg
  gradflow render r.json --format concise
"""


class Render:
    """A saved report in another form."""

    name = "render"

    def add_parser(self, subparsers: Subparsers) -> None:
        """Add the verb."""
        parser = subparsers.add_parser(
            self.name,
            usage="gradflow render REPORT [-o FILE] [--format FORMAT]",
            help="show a saved report as text, a picture or another format",
            description="Shows a report that was saved as JSON. It needs neither the model nor torch.",
            epilog=_EPILOG,
        )
        parser.add_argument(
            "report", metavar="REPORT", help="a check, run or audit saved with `--format json`; `-` reads it from stdin"
        )
        parser.add_argument(
            "-o",
            "--output",
            type=output_path,
            metavar="FILE",
            help="write here; the suffix (.svg, .dot, .png, .json, ...) is the format",
        )
        parser.add_argument(
            "--format",
            type=one_of(tuple(FORMATS)),
            metavar="FORMAT",
            help=f"{', '.join(FORMATS)} (default: by the suffix, else text)",
        )
        add_force_option(parser)
        parser.add_argument("--debug", action="store_true", help="show the traceback when something goes wrong")

    def run(self, args: argparse.Namespace) -> int:
        """Read the report and show it."""
        output: Path | None = args.output
        reads = [Path("/dev/stdin")] if args.report == "-" else named_files(args.report)
        outputs = Outputs([output] if output is not None else [], reads=reads, force=args.force)
        report = read_report(args.report)
        if isinstance(report, AuditReport):
            show_audit(report, _format(args, AUDIT_FORMATS, "an audit"), output, outputs)
        else:
            show(report, _format(args, ALL_FORMATS, "a report"), output, outputs)
        return 0


def _format(args: argparse.Namespace, formats: Collection[str], what: str) -> str:
    """As of every output; but who renders to a file wants what its name says, and an unknown one says nothing."""
    if args.output is not None and args.format is None:
        return format_named(args.output, formats, what)
    return chosen_format(args.format, args.output, formats, what)


def read_report(path: str) -> Report | AuditReport:
    """The report of a check, a program or an audit that is saved in a file; ``-`` is stdin.

    Raises
    ------
    UsageError
        When the file cannot be read.
    RenderError
        When it holds no report.
    """
    from gradflow.render.audit_json import audit_from_json
    from gradflow.render.json_report import report_from_json

    try:
        text = sys.stdin.read() if path == "-" else read_bounded(user_path(path), _MOST_BYTES).decode("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read `{path}`: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise _no_report(path, "not a gradflow report: it is not text") from error
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers of more digits than Python reads
        reason = f"it is not JSON ({error})" if text.strip() else "it is empty"
        raise _no_report(path, f"not a gradflow report: {reason}") from error
    try:
        if isinstance(content, dict) and content.get("kind") == "audit":
            return audit_from_json(content)
        return report_from_json(content)
    except RenderError as error:
        raise _no_report(path, error.message, error.hint) from error


def _no_report(path: str, why: str, hint: str = "") -> RenderError:
    how_to_save = "save one with `gradflow check MODEL --layer LAYER --output report.json`"
    return RenderError(f"`{path}`: {why}", hint=hint or how_to_save)
