"""The look of text output: glyphs for capable and for plain terminals, colours, and what is safe to print."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from rich.cells import cell_len
from rich.theme import Theme

__all__ = ["ASCII", "THEME", "UNICODE", "Glyphs", "Segments", "plain"]

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
# what may reorder, hide or rewrite what stands around it: control characters and bidirectional overrides
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ZERO_WIDTH_JOINER = "\u200d"


def plain(character: str) -> str:
    """A character as it may stand in a terminal: control characters become U+FFFD, so that no text can drive it."""
    if character.isprintable() or character == _ZERO_WIDTH_JOINER:
        return character
    return "\ufffd" if unicodedata.category(character) in _UNSAFE_CATEGORIES else " "


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
        shown = "".join(character if character == "\n" else plain(character) for character in text)
        if not self.ascii_only:
            return shown
        lines = shown.translate(_ASCII_TEXT).split("\n")
        return "\n".join("".join(map(self.source, line)) for line in lines)

    def source(self, character: str) -> str:
        """One character of source code, ready to print, as wide as the original so that carets stay in place."""
        shown = plain(character)
        if self.ascii_only and not shown.isascii():
            return "?" * cell_len(shown)
        return shown


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
