"""`gradflow run`: runs the user's own program and explains what happens to its gradients."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import functools
import io
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter  # as it is now: the program may lay out a clock of its own

from gradflow.cli.formats import FORMATS, PICTURES, report_and_pictures
from gradflow.cli.outputs import Outputs, add_force_option
from gradflow.cli.parser import one_of, path_with
from gradflow.cli.printing import say, without_stand_ins
from gradflow.cli.verb import Subparsers
from gradflow.errors import GradflowError, UsageError
from gradflow.output.named import output_path
from gradflow.output.sources import module_files, named_files
from gradflow.printable import printable
from gradflow.record.conduct.their_exceptions import text_of
from gradflow.render import file_content
from gradflow.report import Report

__all__ = ["Run"]

_DESCRIPTION = """
Runs a program unchanged and watches what it asks of autograd. Its output, its exceptions and its exit status are its
own; what gradflow found is printed afterwards, on stderr.
"""
_EPILOG = """
examples:

  gradflow run train.py --epochs 1
  gradflow run -m package.module
  gradflow run -m pytest tests/test_model.py
  gradflow run --steps 20 train.py
  gradflow run --format json --output report.json cam.py

Exit status: that of the program; with --strict 1 where it would be 0 and there is an error or a warning.
"""


class Run:
    """What happens to the gradients of a program."""

    name = "run"

    def add_parser(self, subparsers: Subparsers) -> None:
        """Add the verb with its options."""
        parser = subparsers.add_parser(
            self.name,
            usage="gradflow run [options] PROGRAM.py [argument ...]",
            help="run a program and explain its gradients",
            description=_DESCRIPTION,
            epilog=_EPILOG,
        )
        parser.add_argument("-m", dest="is_module", action="store_true", help="PROGRAM is a module, as in `python -m`")
        parser.add_argument(
            "--format", type=one_of(tuple(FORMATS)), metavar="FORMAT", help=f"{', '.join(FORMATS)} (default: text)"
        )
        parser.add_argument(
            "--output",
            type=output_path,
            metavar="FILE",
            help="write the report here instead of stderr, in the format that the name ends in",
        )
        parser.add_argument(
            "--svg",
            type=path_with(PICTURES),
            action="append",
            default=[],
            metavar="FILE",
            help="draw the graph of the gradient that is wrong: .svg, .dot, .png or .pdf; repeats",
        )
        add_force_option(parser)
        parser.add_argument("--strict", action="store_true", help="exit with 1 when a gradient is missing or wrong")
        parser.add_argument(
            "--steps",
            type=_count,
            metavar="N",
            help="watch the first N backward passes and what follows each; step aside when the next pass begins",
        )
        parser.add_argument(
            "--no-formulas",
            action="store_true",
            help="do not call the program's own autograd Functions again at the end, to check their `backward`",
        )
        parser.add_argument("program", metavar="PROGRAM", help="the program: a file, or a module with -m")
        parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="its own arguments")

    def run(self, args: argparse.Namespace) -> int:
        """Run, explain; the exit status is the program's own unless ``--strict``."""
        format_, output, pictures = report_and_pictures(args.format, args.output, args.svg)
        outputs = Outputs([*([output] if output else []), *pictures], reads=_files_read(args), force=args.force)
        if not args.is_module and not os.path.exists(args.program):  # noqa: PTH110 - no error for a long name
            raise UsageError(
                f"there is no program `{args.program}`",
                hint="for a module, as in `python -m`, write `gradflow run -m MODULE`",
            )
        from gradflow.record.conduct.hard_exit import telling_before_hard_exit
        from gradflow.record.program.running import INTERRUPTED, run_program
        from gradflow.record.program.watching import Watch
        from gradflow.watch.ended_by import EndedBy
        from gradflow.watch.observing import observation_of
        from gradflow.watch.outcome import outcome

        watch, ended_by = Watch(steps=args.steps), EndedBy()
        started, process, is_ours = perf_counter(), os.getpid(), _is_own_process()

        def tell(*, status: int = 0, is_flushed: bool = True) -> Report:
            report = outcome(
                functools.partial(observation_of, watch, formulas=not args.no_formulas),
                program=args.program,
                duration_s=perf_counter() - started,
                refine=ended_by.refine,
            )
            # a program that says itself that it failed, as a run of tests does, is not given a clean bill
            report = replace(report, is_clear=report.is_clear and not status)
            _show(report, format_, output, outputs, is_flushed=is_flushed)
            _draw(report, pictures, outputs)
            return report

        def tell_at_once(status: int, _: object) -> int:
            watch.end()
            with reported_failure():
                tell(is_flushed=False)
            return status

        last_word = telling_before_hard_exit(tell_at_once) if is_ours else contextlib.nullcontext()
        with without_stand_ins(), last_word:
            status = run_program(
                watch,
                args.program,
                args.arguments,
                is_module=args.is_module,
                is_whole_process=is_ours,
                look_at=ended_by.look,
            )
        if os.getpid() != process:
            return status  # a process that the program forked: the one that started it reports
        try:
            report = tell(status=status)
        except Exception as failure:
            if isinstance(failure, GradflowError) or not status:
                raise
            _say_failed(failure)  # the program has failed as well, and its status says so
            return status
        if status == INTERRUPTED and is_ours and os.name == "posix":
            _end_as_interrupted()
        return status or (report.exit_status(strict=True) if args.strict else 0)


def _files_read(args: argparse.Namespace) -> Iterator[Path]:
    """The program, and what its own arguments name: ``data.pt``, ``--config=run.json``."""
    yield from module_files(args.program) if args.is_module else named_files(args.program)
    for argument in args.arguments:
        yield from named_files(argument)
        yield from named_files(argument.partition("=")[2])


def _is_own_process() -> bool:
    """Whether this process was started as gradflow's command, and ends with it; not so where ``main`` was called."""
    from gradflow.cli import main

    return vars(sys.modules["__main__"]).get("main") is main


def _end_as_interrupted() -> None:
    """End as Python does after Ctrl-C: a shell that runs a loop of commands stops only when one died of the signal."""
    from gradflow.record.program.running import flush

    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        flush(stream)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number of steps")
    return int(text)


def _draw(report: Report, pictures: list[Path], outputs: Outputs) -> None:
    """Draw the graph; say so where there is none, rather than leave an empty picture."""
    if pictures and not len(report.flow):
        say(f"gradflow: no graph was drawn, because {_why_no_graph(report)}")
        return
    for path in pictures:
        outputs.write(path, file_content(report, path))


def _why_no_graph(report: Report) -> str:
    if report.diagnostics:
        first = " first" if len(report.diagnostics) > 1 else ""
        return f"what was found{first} is not about one gradient ({report.diagnostics[0].code})"
    if not report.connected:
        return f"it is not determined what went wrong, if anything did: {'; '.join(report.undetermined)}"
    return "nothing wrong was found with a gradient" if report.is_clear else "there is no gradient to draw"


@contextlib.contextmanager
def reported_failure() -> Iterator[None]:
    """Say what failed: the process ends right after, whatever happens here."""
    try:
        yield
    except Exception as failure:  # noqa: BLE001
        _say_failed(failure)


def _say_failed(failure: Exception) -> None:
    say(printable(f"gradflow: no report could be given: {type(failure).__name__}: {text_of(failure)}"))


def _show(report: Report, format_: str, output: Path | None, outputs: Outputs, *, is_flushed: bool) -> None:
    """Write the report to its file, or print it on stderr: stdout is the program's."""
    if output is not None:
        from gradflow.cli.formats import show

        show(report, format_, output, outputs)
        return
    if is_flushed:
        from gradflow.record.program.running import flush

        flush(sys.stdout)
    if format_ == "text":
        _say_text(report)
    else:
        say(FORMATS[format_](report).rstrip("\n"))


def _say_text(report: Report) -> None:
    if not report.diagnostics:
        from gradflow.watch.explaining import summary

        say(summary(report))  # one line, however long
        return
    from gradflow.render.terminal import make_console, print_report

    # what a program has put in the place of stderr need not be a stream
    console = make_console(sys.stderr if isinstance(sys.stderr, io.TextIOWrapper) else io.StringIO())
    with console.capture() as captured:
        print_report(report, console)
    say(captured.get().rstrip("\n"), has_colour=console.is_terminal)
