"""Pieces of Markdown that the summaries of a check and of an audit share."""

from __future__ import annotations

import re

from gradflow.diagnose.diagnostic import Diagnostic, Help
from gradflow.render.excerpt import excerpts
from gradflow.render.excerpt_drawing import draw_rows
from gradflow.render.path_drawing import draw_rail
from gradflow.render.score_path import path_rows, path_steps
from gradflow.render.theme import UNICODE, Segments
from gradflow.render.words import hidden_text, target_text, tried_text
from gradflow.report import Report
from gradflow.source_place import place

__all__ = ["code", "diagnostic_parts", "escape", "fence"]

_CODE = re.compile(r"(`[^`\n]+`)")
_SPECIAL = re.compile(r"([\\*_{}\[\]<>#|~@])")
_WIDTH = 100


def diagnostic_parts(diagnostic: Diagnostic, reports: tuple[Report, ...]) -> list[str]:
    """A finding with its source, path, reasons and ways out, as parts that blank lines stand between."""
    parts = [f"#### {diagnostic.severity} {diagnostic.code} {diagnostic.name}: {escape(diagnostic.message)}"]
    for excerpt in excerpts(diagnostic, width=_WIDTH, glyphs=UNICODE):
        rows = draw_rows(
            excerpt, number_width=excerpt.number_width, width=_WIDTH + 40, severity=diagnostic.severity, glyphs=UNICODE
        )
        parts.append(code(place(excerpt.span)) + (f"\n{fence(rows)}" if rows else ""))
    steps = path_steps(diagnostic, reports[0])
    if len(steps) > 1:
        parts.append(
            "Path from the score to the layer:\n"
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
    text = f"- **help: {escape(way_out.text)}**"
    tried = tried_text(way_out.repair)
    if way_out.repair is None or not tried:
        return text
    mark = {True: "✓ ", False: "✗ ", None: ""}[way_out.repair.verified]
    return f"{text} {mark}{escape(tried)}"


def escape(text: str) -> str:
    """Text of a report as Markdown: what is in backticks stays code, everything else is taken literally."""
    pieces = _CODE.split(UNICODE.prose(text).replace("\n", " "))
    return "".join(piece if index % 2 else _SPECIAL.sub(r"\\\1", piece) for index, piece in enumerate(pieces))


def code(text: str) -> str:
    """Text as inline code, whatever backticks it holds."""
    shown = UNICODE.prose(text).replace("\n", " ")
    fence = "`" * (_longest_run(shown) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def fence(rows: list[Segments]) -> str:
    """Lines as a fenced block."""
    text = "\n".join("".join(piece for piece, _ in row).rstrip() for row in rows)
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
