"""Consoles for text output, and lines that are printed as they are."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console
from rich.text import Text

from gradflow.printable import inert
from gradflow.render.theme import THEME

__all__ = ["NARROWEST", "WIDEST_PROSE", "has_own_width", "is_ascii_only", "make_console", "print_lines", "text_of"]

NARROWEST, WIDEST_PROSE = 60, 110
_PIPED_WIDTH = 100


def make_console(file: TextIO | None = None, *, no_color: bool | None = None) -> Console:
    """A console for reports: plain when piped, without colour where the user or the terminal wants none.

    Parameters
    ----------
    file
        Where to print; standard output by default.
    no_color
        ``True`` for no colour; by default as ``NO_COLOR`` and the terminal say.
    """
    stream = sys.stdout if file is None else file
    interactive = stream.isatty() and os.environ.get("TERM") != "dumb"
    width = None if has_own_width(stream) else _PIPED_WIDTH
    return Console(
        file=stream,
        width=width,
        theme=THEME,
        force_terminal=interactive,
        force_jupyter=False,  # in a notebook rich would show every line as an output of its own
        color_system="auto" if interactive else None,
        no_color=True if no_color else None,
        highlight=False,
        emoji=False,
        markup=False,
    )


def has_own_width(stream: TextIO) -> bool:
    """Whether lines of a stream have an end of their own: in a terminal, and where ``COLUMNS`` says so."""
    return stream.isatty() or bool(os.environ.get("COLUMNS"))


def text_of(lines: Iterable[Text], *, width: int, color: bool) -> str:
    """Lines as text with a final line end, with ANSI escape sequences where ``color`` asks for them."""
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=max(width, NARROWEST),
        theme=THEME,
        force_terminal=color,
        force_jupyter=False,
        color_system="standard" if color else None,
        legacy_windows=False,
        highlight=False,
        emoji=False,
        _environ={},
    )
    print_lines(console, lines)
    return buffer.getvalue()


def print_lines(console: Console, lines: Iterable[Text]) -> None:
    """Print lines that are as wide already as they may be; one that would be a command to its reader is made none."""
    for one in lines:
        plain = inert(one.plain)
        shown = one if plain == one.plain else Text(plain)
        console.print(shown, soft_wrap=True, highlight=False, emoji=False, markup=False)


def is_ascii_only(encoding: str) -> bool:
    """Whether the characters that reports are drawn with may not come out right."""
    return os.environ.get("TERM") == "dumb" or not encoding.lower().replace("-", "").startswith("utf")
