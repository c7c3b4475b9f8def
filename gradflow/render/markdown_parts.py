"""Pieces of Markdown that the summaries of a check and of an audit share."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from gradflow.diagnose.diagnostic import Diagnostic, Help
from gradflow.render.excerpt import excerpts
from gradflow.render.excerpt_drawing import draw_rows
from gradflow.render.path_drawing import draw_rail
from gradflow.render.score_path import path_rows, path_steps
from gradflow.render.theme import UNICODE, Segments
from gradflow.render.words import hidden_text, target_text, tried_text
from gradflow.report import Report
from gradflow.source_place import place

__all__ = ["code", "code_cell", "diagnostic_parts", "escape", "escape_cell", "fence"]

_CODE = re.compile(r"`([^`\n]+)`")
_PUNCTUATION = re.compile(r"([\\*_{}\[\]#~])")
_TAG = re.compile(r"<[A-Za-z/!?]")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "&grave;", "|": "&vert;", "$": "&dollar;"})
# GitHub looks for `@somebody` and `#12` in the page that comes out of the Markdown: no backslash keeps it from that
_REFERENCE = re.compile(r"([@#])(?=\w)")
_WIDTH = 100


def diagnostic_parts(diagnostic: Diagnostic, reports: tuple[Report, ...]) -> list[str]:
    """A finding with its source, path, reasons and ways out, as parts that blank lines stand between."""
    what = f"{diagnostic.severity} {diagnostic.code} {diagnostic.name}: {diagnostic.message}"
    parts = [f"#### {escape(what)}"]
    for excerpt in excerpts(diagnostic, width=_WIDTH, glyphs=UNICODE):
        rows = draw_rows(
            excerpt, number_width=excerpt.number_width, width=_WIDTH + 40, severity=diagnostic.severity, glyphs=UNICODE
        )
        parts.append(code(place(excerpt.span)) + (f"\n{fence(rows)}" if rows else ""))
    steps = path_steps(diagnostic, reports[0])
    if len(steps) > 1:
        parts.append(
            f"Path from the score to the {'parameter' if reports[0].target.kind == 'parameter' else 'layer'}:\n"
            + fence(draw_rail(path_rows(steps, reports[0]), width=_WIDTH, glyphs=UNICODE))
        )
    remarks = list(diagnostic.notes)
    hidden = hidden_text(diagnostic, reports[0].target)
    if hidden:
        remarks.append(hidden)
    if len(reports) > 1:
        remarks.append("the same for " + ", ".join(target_text(one.target) for one in reports[1:]))
    items = [f"- note: {escape(text)}" for text in remarks] + [_help(way_out) for way_out in diagnostic.helps]
    return [*parts, "\n".join(items)] if items else parts


def _help(way_out: Help) -> str:
    text = f"- **help: {escape(way_out.text).rstrip()}**"  # after a blank nothing ends what is bold
    tried = tried_text(way_out.repair)
    if way_out.repair is None or not tried:
        return text
    mark = {True: "✓ ", False: "✗ ", None: ""}[way_out.repair.verified]
    return f"{text} {mark}{escape(tried)}"


def escape(text: str) -> str:
    """Text of a report as Markdown: what is in backticks stays code, everything else is taken literally.

    A name with backticks of its own may be taken apart, but each part is text or code and nothing else.
    """
    return _with_code(text, code)


def escape_cell(text: str) -> str:
    """The same for a cell of a table."""
    return _with_code(text, code_cell)


def code(text: str) -> str:
    """Text as inline code, whatever backticks it holds."""
    shown = _one_line(text) or " "
    fence = "`" * (_longest_run(shown) + 1)
    is_eaten = shown.startswith(" ") and shown.endswith(" ")  # one blank at each end is taken off
    pad = " " if shown.startswith("`") or shown.endswith("`") or is_eaten else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def code_cell(text: str) -> str:
    """Text as code in a cell of a table; a bar ends the cell also within backticks."""
    if "|" not in text:
        return code(text)
    letters = (letter if letter.isalnum() or letter in " ." else f"&#{ord(letter)};" for letter in _one_line(text))
    return f"<code>{''.join(letters)}</code>"


def fence(rows: list[Segments]) -> str:
    """Lines as a block of code."""
    text = "\n".join("".join(piece for piece, _ in row).rstrip() for row in rows)
    if _TAG.search(text):
        # whoever quotes a line of it, or sends it on, may know nothing of the fence around it
        return f"<pre>\n{html.escape(text, quote=False)}\n</pre>"
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _with_code(text: str, as_code: Callable[[str], str]) -> str:
    pieces = _CODE.split(_one_line(text))
    return "".join(as_code(piece) if index % 2 else _literally(piece) for index, piece in enumerate(pieces))


def _literally(text: str) -> str:
    escaped = _PUNCTUATION.sub(r"\\\1", text).translate(_ENTITIES)
    return _REFERENCE.sub(r"\1<!-- -->", escaped)


def _one_line(text: str) -> str:
    return UNICODE.prose(text).replace("\n", " ")


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
