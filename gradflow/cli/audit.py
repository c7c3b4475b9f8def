"""`gradflow audit`: every parameter at once; which get no gradient, and why."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gradflow.cli.loaded import loaded
from gradflow.cli.options import add_input_options, add_model_options, add_run_options, files_read
from gradflow.cli.outputs import Outputs, add_force_option
from gradflow.cli.parser import one_of
from gradflow.cli.printing import printing, say
from gradflow.cli.verb import Subparsers
from gradflow.output.formats import chosen_format, said_of_file
from gradflow.output.named import output_path
from gradflow.printable import printable
from gradflow.render.audit_formats import AUDIT_FORMATS, audit_content

if TYPE_CHECKING:
    from gradflow.audit_report import AuditReport

__all__ = ["Audit", "show_audit"]

_DESCRIPTION = """
Runs a model once, asks for the gradient of a loss at every parameter, and says which of them get none and why: frozen,
never called, output not used, behind a cut (on which line), not registered, zero, or NaN. These are the parameters that
DistributedDataParallel calls unused. Also shows the size of the gradients per module. The model is left as it was.
"""
_EPILOG = """
examples:

  gradflow audit train.py:build --train
  gradflow audit train.py:build --loss train.py:loss \\
      --input batch.pt
  gradflow audit resnet50 --train --input-shape 4,3,64,64
  gradflow audit net.py:Net --output audit.json

Exit status: 0 no error was found, 1 one was, or a trainable parameter gets no gradient, 2 the request could not be
carried out. A gradient of zero, or none in eval mode only, can be a warning or a note: then the status is 0.
"""


class Audit:
    """Every parameter at once."""

    name = "audit"

    def add_parser(self, subparsers: Subparsers) -> None:
        """Add the verb with its options."""
        parser = subparsers.add_parser(
            self.name,
            usage="gradflow audit MODEL [--loss FUNCTION] [options]",
            help="list the parameters that get no gradient, and why",
            description=_DESCRIPTION,
            epilog=_EPILOG,
        )
        add_model_options(parser)
        add_input_options(parser)
        _add_loss_options(parser)
        add_run_options(parser)
        _add_output_options(parser)
        parser.set_defaults(target=None, score=None)

    def run(self, args: argparse.Namespace) -> int:
        """Audit and show; the exit status is the report's."""
        output: Path | None = args.output
        format_ = chosen_format(args.format, output, AUDIT_FORMATS, "an audit")
        outputs = Outputs([output] if output else [], reads=files_read(args), force=args.force)
        with loaded(args, loss=args.loss) as (workload, progress):
            from gradflow.auditing import audit_workload
            from gradflow.load.scores.loss import with_loss

            with_its_loss = workload if args.loss else with_loss(workload, output=args.select)
            report = audit_workload(with_its_loss, progress=progress)
        show_audit(report, format_, output, outputs)
        return report.exit_code


def _add_loss_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("its loss")
    group.add_argument(
        "--loss",
        metavar="FILE:FUNCTION",
        help="`loss(output)` or `loss(output, batch)`, `batch` being the model's input (default: every output counts)",
    )
    group.add_argument("--select", metavar="SELECTOR", help="which part of the model's result: `logits`, `0`, `out.0`")


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to show")
    names = tuple(AUDIT_FORMATS)
    group.add_argument("--format", type=one_of(names), metavar="FORMAT", help=f"{', '.join(names)} (default: text)")
    group.add_argument(
        "--output",
        type=output_path,
        metavar="FILE",
        help="write the report here instead of stdout, in the format that the name ends in, else as text",
    )
    add_force_option(group)


def show_audit(report: AuditReport, format_: str, output: Path | None, outputs: Outputs) -> None:
    """Print an audit, or write it to a file, one of ``outputs``."""
    if output is not None:
        outputs.write(output, audit_content(report, output, format_))
        say(printable(said_of_file(output, format_)))
        return
    with printing():
        if format_ == "text":
            from gradflow.render.audit_terminal import print_audit
            from gradflow.render.console import make_console

            print_audit(report, make_console())
        else:
            sys.stdout.write(AUDIT_FORMATS[format_](report))
