"""`gradflow explain`: the page of a code."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap

from gradflow.cli.pages import find_code, read_page, title_of
from gradflow.cli.printing import printing
from gradflow.cli.verb import Subparsers
from gradflow.diagnose.codes import CODES
from gradflow.errors import GradflowError

__all__ = ["Explain"]

_WIDEST = 100

_EPILOG = """
examples:

  gradflow explain GF101
  gradflow explain detach
  gradflow explain | grep nan
"""


class Explain:
    """The page of a code."""

    name = "explain"

    def add_parser(self, subparsers: Subparsers) -> None:
        """Add the verb."""
        parser = subparsers.add_parser(
            self.name,
            usage="gradflow explain [CODE]",
            help="tell what a code means and how to mend it",
            description="Shows the page of a code: what it is, why it harms, an example, and what to write instead. "
            "Without a code, lists all of them.",
            epilog=_EPILOG,
        )
        parser.add_argument("code", nargs="?", metavar="CODE", help="a code or its name: `GF101`, `detach`")
        parser.add_argument("--debug", action="store_true", help="show the traceback when something goes wrong")

    def run(self, args: argparse.Namespace) -> int:
        """Print one page, or the list of all codes."""
        if args.code is None:
            with printing():
                _list_codes()
            return 0
        code = find_code(args.code)
        page = read_page(code)
        if not page:
            raise GradflowError(f"the page of {code} ({CODES[code]}) is missing from this installation")
        with printing():
            _show(page)
        return 0


def _show(page: str) -> None:
    if not sys.stdout.isatty():
        print(page.rstrip())
        return
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.text import Text
    from rich.theme import Theme

    # the sixteen terminal colours and no backgrounds: they follow the user's own light or dark scheme
    styles = {"markdown.code": "bold", "markdown.h2": "bold cyan", "markdown.item.bullet": "none"}
    console = Console(theme=Theme(styles))
    title, _, body = page.partition("\n")
    console.print(Text(title.removeprefix("# "), style="bold"), end="\n\n")
    markdown = Markdown(body, code_theme="ansi_dark", hyperlinks=False)
    console.print(markdown, width=min(console.width, _WIDEST))


def _list_codes() -> None:
    name_width = max(map(len, CODES.values()))
    lead_width = len("GF000  ") + name_width + 2
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    for code, name in CODES.items():
        lead = f"{code}  {name:{name_width}}  "
        indent = " " * (lead_width if width - lead_width >= 30 else len("GF000  "))
        print(textwrap.fill(lead + title_of(code), max(width, 40), subsequent_indent=indent).rstrip())
