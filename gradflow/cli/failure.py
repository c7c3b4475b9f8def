"""How the command line says that a request could not be carried out."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import textwrap
import traceback
from collections.abc import Iterator
from types import FrameType

from gradflow.cli.printing import say
from gradflow.errors import GradflowError, unexpected
from gradflow.printable import inert
from gradflow.record.conduct.hard_exit import telling_before_hard_exit
from gradflow.source_place import shown_path

__all__ = ["FAILED", "INTERRUPTED", "ended_by_the_model", "report_failure", "telling_of_hard_exit"]

FAILED = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def report_failure(error: BaseException, *, debug: bool = False) -> int:
    """Say on stderr what went wrong and what to do about it; returns the exit status.

    Parameters
    ----------
    error
        Any exception; one that is no :class:`GradflowError` was not expected, and is told as a mistake of gradflow.
    debug
        Also print the traceback.
    """
    if debug:
        say(inert("".join(traceback.format_exception(error)).expandtabs()).rstrip())
    if isinstance(error, KeyboardInterrupt):
        say("interrupted")
        return INTERRUPTED
    if not isinstance(error, GradflowError):
        error = unexpected(error)
    parts = [("error", error.message), ("note", error.note), ("help", error.hint)]
    for word, text in parts:
        if text:
            _print_part(word, text)
    return FAILED


def ended_by_the_model(stop: SystemExit) -> GradflowError:
    """What to say of code of the user's that ended the program while its model was asked for something."""
    frames = traceback.extract_tb(stop.__traceback__)
    return _ended(f"SystemExit: {stop.code}", frames[-1] if frames else None)


@contextlib.contextmanager
def telling_of_hard_exit() -> Iterator[None]:
    """Say so where such code calls ``os._exit``: its status is no answer to what gradflow was asked."""

    def tell(status: int, frame: FrameType) -> int:
        return report_failure(_ended(f"os._exit({status})", traceback.extract_stack(frame)[-1]))

    with telling_before_hard_exit(tell):
        yield


def _ended(how: str, where: traceback.FrameSummary | None) -> GradflowError:
    return GradflowError(
        f"the code of the model ended the program ({how})",
        note="" if where is None else f"at {shown_path(where.filename)}:{where.lineno} in {where.name}",
        hint="let it raise an exception instead, or give an input with which it does not come to this",
    )


def _print_part(word: str, text: str) -> None:
    lead = f"{word}: " if word == "error" else f"  {word}: "
    lines = inert("\n".join(_wrap(lead, text))).split("\n")
    if _has_colour():
        colour = {"error": "1;31", "note": "1", "help": "1;36"}[word]
        lines[0] = lines[0].replace(word, f"\x1b[{colour}m{word}\x1b[0m", 1)
    encoding = sys.stderr.encoding or "utf-8"
    say("\n".join(lines).encode(encoding, "backslashreplace").decode(encoding), has_colour=_has_colour())


def _wrap(lead: str, text: str) -> list[str]:
    """Lines as wide as the terminal; whole where none reads them, so that they can be searched."""
    hanging = " " * len(lead)
    paragraphs = text.split("\n")
    if not (sys.stderr.isatty() or "COLUMNS" in os.environ):
        return [(hanging if index else lead) + paragraph for index, paragraph in enumerate(paragraphs)]
    width = max(shutil.get_terminal_size().columns, 40)
    lines = []
    for index, paragraph in enumerate(paragraphs):
        # long words are mostly paths and commands, which must stay whole to be copied
        lines += textwrap.wrap(
            paragraph,
            width,
            initial_indent=hanging if index else lead,
            subsequent_indent=hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _has_colour() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
