"""The program: reads the command line, runs one verb, and turns failures into messages and an exit status."""

from __future__ import annotations

import difflib
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata

from gradflow import __version__
from gradflow.cli.audit import Audit
from gradflow.cli.check import Check
from gradflow.cli.explain import Explain
from gradflow.cli.failure import FAILED, ended_by_the_model, report_failure
from gradflow.cli.layers import Layers
from gradflow.cli.parser import Parser
from gradflow.cli.printing import printing, standing_in
from gradflow.cli.render import Render
from gradflow.cli.run import Run
from gradflow.cli.verb import Verb
from gradflow.errors import UsageError

__all__ = ["main"]

_ALL: tuple[Verb, ...] = (Check(), Audit(), Run(), Layers(), Render(), Explain())
VERBS = {verb.name: verb for verb in _ALL}

_BROKEN_PIPE = 141  # 128 + SIGPIPE

_DESCRIPTION = """
Says why a PyTorch gradient is missing or wrong: what is broken, on which line, why, and a fix that was tried.
"""
_EPILOG = """
Start with one of these:

  gradflow check train.py:build --layer backbone.layer4
  gradflow run train.py
  gradflow layers resnet50
  gradflow explain GF101

`gradflow VERB --help` shows the options of a verb. Exit status: 0 connected, 1 any other verdict, 2 the request could
not be carried out.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; this is the whole program.

    Parameters
    ----------
    argv
        Arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        Exit status: 0 connected, 1 any other verdict, 2 the request could not be carried out, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    while arguments[:1] == ["--debug"]:
        arguments.pop(0)  # it may stand before the verb, too, which argparse does not take
    with standing_in():
        try:
            return _run(arguments)
        except BrokenPipeError:
            return _BROKEN_PIPE
        except SystemExit as stop:
            return report_failure(ended_by_the_model(stop), debug=debug)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last place where a bug can be told as one
            return report_failure(error, debug=debug)


def _run(arguments: list[str]) -> int:
    parser, verb_parsers = _parsers()
    _check_verb(arguments)
    try:
        args, unknown = parser.parse_known_args(arguments)
    except SystemExit:  # argparse has printed the help
        return 0
    if unknown:
        raise _unknown_argument(unknown[0], verb_parsers.get(args.verb, parser), verb_parsers.values())
    if args.version:
        with printing():
            print(_version_text())
        return 0
    if args.verb is None:
        parser.print_help(sys.stderr)
        return FAILED
    return VERBS[args.verb].run(args)


def _parsers() -> tuple[Parser, Mapping[str, Parser]]:
    """The whole parser, and that of each verb."""
    parser = Parser(prog="gradflow", usage="gradflow VERB ...", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="store_true", help="show the versions of gradflow, torch and Python")
    subparsers = parser.add_subparsers(dest="verb", title="verbs", metavar="VERB", prog="gradflow")
    for verb in VERBS.values():
        verb.add_parser(subparsers)
    return parser, subparsers.choices


def _check_verb(arguments: list[str]) -> None:
    first = arguments[0] if arguments else "--help"
    if first.startswith("-") or first in VERBS:
        return
    close = difflib.get_close_matches(first, VERBS, n=1)
    if close:
        hint = f"did you mean `gradflow {close[0]}`?"
    else:
        hint = f"to check a model: `gradflow check {first} --layer LAYER`"
    raise UsageError(f"there is no verb `{first}`", note=f"the verbs are {', '.join(VERBS)}", hint=hint)


def _unknown_argument(argument: str, parser: Parser, others: Iterable[Parser]) -> UsageError:
    if not argument.startswith("-"):
        return UsageError(
            f"`{argument}` is one argument too many", hint=f"`{parser.prog} --help` shows what is possible"
        )
    option = argument.partition("=")[0]
    return UsageError(f"`{parser.prog}` has no option `{option}`", hint=_option_hint(option, parser, others))


def _option_hint(option: str, parser: Parser, others: Iterable[Parser]) -> str:
    """What was meant: a name of the option that this verb has too, the verb that has it, or an option like it."""
    having = [other for other in others if option in other.options]
    meant = [twin for other in having for twin in other.twins(option) if twin in parser.options]
    if having and not meant:
        return f"{', '.join(f'`{other.prog}`' for other in having)} {'has' if len(having) == 1 else 'have'} it"
    # without the dashes, which all have in common
    names = {name.lstrip("-"): name for name in parser.options}
    meant += [names[name] for name in difflib.get_close_matches(option.lstrip("-"), names, n=1)]
    return f"did you mean `{meant[0]}`?" if meant else f"`{parser.prog} --help` shows all options"


def _version_text() -> str:
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch = "not installed"
    return f"gradflow {__version__} (torch {torch}, Python {platform.python_version()})"
