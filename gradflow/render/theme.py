"""The look of text output: glyphs for capable and for plain terminals, and colours."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from rich.theme import Theme

from gradflow.printable import printable

__all__ = ["ASCII", "THEME", "UNICODE", "Glyphs", "Segments"]

Segments = tuple[tuple[str, str], ...]
"""One line of output: pieces of text, each with the name of its style in :data:`THEME`."""

# the sixteen terminal colours only: they follow the user's own light or dark scheme
THEME = Theme(
    {
        "gf.plain": "none",
        "gf.error": "bold red",
        "gf.warning": "bold yellow",
        "gf.info": "bold cyan",
        "gf.good": "bold green",
        "gf.headline": "bold",
        "gf.code": "bold",
        "gf.gutter": "bold blue",
        "gf.context": "dim",
        "gf.source": "none",
        "gf.secondary": "bold blue",
        "gf.word": "bold",
        "gf.help": "bold cyan",
        "gf.cut": "bold red",
        "gf.carries": "green",
        "gf.lost": "dim",
        "gf.dim": "dim",
    }
)

_ASCII_TEXT = str.maketrans(
    {
        "…": "...",
        "→": "->",
        "←": "<-",
        "×": "x",
        "·": "-",
        "–": "-",
        "—": "-",
        "‘": "'",
        "’": "'",
        "“": '"',
        "”": '"',
        "✂": "-X-",
        "✓": "ok",
        "∂": "d",
        "≤": "<=",
        "≥": ">=",
        "≈": "~",
        "∞": "inf",
        "µ": "u",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """The characters that text output draws with."""

    ascii_only: bool
    bar: str
    cut: str
    from_: str
    ellipsis: str
    score: str
    carries: str
    rail_cut: str
    lost: str
    arrived: str
    not_arrived: str
    tried: str
    failed: str
    rule: str

    def prose(self, text: str) -> str:
        """Text of ours or of a report, ready to print; in ASCII mode without any other character."""
        if text.isascii() and text.isprintable():
            return text
        lines = [printable(line) for line in text.split("\n")]
        if self.ascii_only:
            lines = [self.source(line.translate(_ASCII_TEXT)) for line in lines]
        return "\n".join(lines)

    def source(self, text: str) -> str:
        """Printable text of source code, as wide as it was so that carets stay in place."""
        if not self.ascii_only or text.isascii():
            return text
        return "".join(letter if letter.isascii() else "?" * cell_len(letter) for letter in text)


UNICODE = Glyphs(
    ascii_only=False,
    bar="│",
    cut="✂",
    from_="←",
    ellipsis="…",
    score="●",
    carries="│",
    rail_cut="✂",
    lost="┊",
    arrived="●",
    not_arrived="○",
    tried="✓",
    failed="✗",
    rule="─",
)
ASCII = Glyphs(
    ascii_only=True,
    bar="|",
    cut="-X-",
    from_="<-",
    ellipsis="...",
    score="*",
    carries="|",
    rail_cut="X",
    lost=":",
    arrived="*",
    not_arrived="o",
    tried="+",
    failed="-",
    rule="-",
)
