"""Running text for the terminal: code in backticks set off, wrapped between words with a hanging indent."""

from __future__ import annotations

import io
import re

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from gradflow.render.theme import Glyphs, Segments

__all__ = ["fill", "line", "styled"]

_CODE = re.compile(r"`[^`\n]+`")
# rich asks for a console to break lines, though nothing of it matters here
_UNUSED = Console(file=io.StringIO(), width=80, color_system=None, force_terminal=False, legacy_windows=False)


def styled(text: str, glyphs: Glyphs, style: str = "gf.plain") -> Text:
    """Text ready to print, with what stands in backticks highlighted."""
    shown = Text(glyphs.prose(text), style=style)
    shown.highlight_regex(_CODE, "gf.code")
    return shown


def line(*segments: tuple[str, str]) -> Text:
    """A line made of pieces with their styles."""
    return Text.assemble(*((text, style) for text, style in segments))


def fill(text: Text, *, width: int, lead: Segments = (), indent: int | None = None) -> list[Text]:
    """Lines of at most ``width`` cells; ``lead`` stands before the first, ``indent`` blanks before the others.

    ``indent`` is the width of ``lead`` unless it is given. Line breaks within the text are kept.
    """
    before = line(*lead)
    hanging = cell_len(before.plain) if indent is None else indent
    room = max(width - max(hanging, cell_len(before.plain)), 20)
    lines = []
    for part in text.split("\n", allow_blank=True):
        lines += list(part.wrap(_UNUSED, room, overflow="fold")) or [Text("")]
    for index, one in enumerate(lines):
        one.rstrip()
        lines[index] = Text.assemble(before if index == 0 else " " * hanging, one)
    return lines
