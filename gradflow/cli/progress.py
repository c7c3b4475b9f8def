"""Saying what is being done while it takes long, where somebody watches."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

from gradflow.printable import inert, printable

__all__ = ["progress"]


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A function to call with what is done now: "tracing".

    Shown with a spinner on stderr when that is a terminal, and removed afterwards; otherwise nothing is shown.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield _ignore
        return
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text

    console = Console(stderr=True)
    can_draw_dots = (console.encoding or "").startswith("utf")
    spinner = Spinner("dots" if can_draw_dots else "line")
    # what the user's model prints goes where it always goes: the streams are not redirected
    with Live(spinner, console=console, transient=True, redirect_stdout=False, redirect_stderr=False):
        yield lambda text: spinner.update(text=Text(inert(printable(text))))


def _ignore(_: str) -> None:
    pass
