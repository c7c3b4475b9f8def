"""One finding in the terminal: what, where, the path, why, and how to mend it, always in this order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from gradflow.diagnose.diagnostic import Diagnostic, Help
from gradflow.render.excerpt import Excerpt, excerpts
from gradflow.render.excerpt_drawing import draw_rows
from gradflow.render.paragraph import fill, line, styled
from gradflow.render.path_drawing import draw_breadcrumb, draw_rail
from gradflow.render.score_path import path_rows, path_steps
from gradflow.render.theme import Glyphs
from gradflow.render.words import hidden_text, target_text, tried_text
from gradflow.report import Report
from gradflow.source_place import function_name, place

__all__ = ["Layout", "diagnostic_lines", "headline_lines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Room and characters for text: prose is kept narrow enough to read, code may use all of the terminal."""

    width: int
    source_width: int
    glyphs: Glyphs


def diagnostic_lines(
    diagnostic: Diagnostic, reports: Sequence[Report], layout: Layout, *, show_path: bool
) -> list[Text]:
    """A finding, with the reports (one per layer) that have it; the first one's path is shown."""
    glyphs = layout.glyphs
    # room for line numbers of four digits, the bar and its blanks
    pieces = excerpts(diagnostic, width=layout.source_width - 7, glyphs=glyphs)
    margin = max((excerpt.number_width for excerpt in pieces), default=1)
    lines = fill(
        styled(f"{diagnostic.name}: {diagnostic.message}", glyphs, "gf.headline"),
        width=layout.width,
        lead=((f"{diagnostic.severity}[{diagnostic.code}]", f"gf.{diagnostic.severity}"), (" ", "gf.plain")),
        indent=4,
    )
    if not any(excerpt.is_primary for excerpt in pieces) and diagnostic.module:
        lines += fill(
            styled(f"in module `{diagnostic.module}`", glyphs),
            width=layout.width,
            lead=((f"{'':{margin}}--> ", "gf.gutter"),),
        )
    for excerpt in pieces:
        lines += _place_lines(excerpt, diagnostic, margin, layout)
        lines += [
            line(*row)
            for row in draw_rows(
                excerpt,
                number_width=margin,
                width=layout.source_width,
                severity=diagnostic.severity,
                glyphs=glyphs,
            )
        ]
    if not any(excerpt.rows for excerpt in pieces):
        lines.append(line((f"{'':{margin}} {glyphs.bar}", "gf.gutter")))
    if show_path:
        lines += _path_lines(diagnostic, reports[0], margin, layout)
    for word, text in _remarks(diagnostic, reports):
        lines += _remark_lines(word, styled(text, glyphs), margin, layout)
    for way_out in diagnostic.helps:
        lines += _help_lines(way_out, margin, layout)
    more = styled(f"`gradflow explain {diagnostic.code}`", glyphs, "gf.dim")
    return lines + _remark_lines("more", more, margin, layout)


def headline_lines(text: str, report: Report, layout: Layout) -> list[Text]:
    """A verdict without a finding: the sentence, and the path where there is one and it does not arrive."""
    verdict, _, rest = text.partition(": ")
    style = "gf.good" if report.connected else "gf.error"
    lead = ((f"{verdict}:", style), (" ", "gf.plain"))
    lines = fill(styled(rest, layout.glyphs, "gf.headline"), width=layout.width, lead=lead, indent=2)
    steps = () if report.connected else path_steps(None, report)
    if steps:
        rail = draw_rail(path_rows(steps, report), width=layout.width - 2, glyphs=layout.glyphs)
        lines += [line(("  ", "gf.plain"), *row) for row in rail]
    return lines


def _place_lines(excerpt: Excerpt, diagnostic: Diagnostic, margin: int, layout: Layout) -> list[Text]:
    arrow = "-->" if excerpt.is_primary else ":::"
    text = place(excerpt.span)
    function = function_name(excerpt.span)
    if function:
        text += f" in {function}"
    if excerpt.is_primary and diagnostic.module:
        text += f"  (module `{diagnostic.module}`)"
    lead = ((f"{'':{margin}}{arrow} ", "gf.gutter"),)
    lines = fill(styled(text, layout.glyphs), width=layout.source_width, lead=lead)
    if not excerpt.rows:
        label = _label_of(excerpt, diagnostic)
        if label:
            lines += fill(styled(label, layout.glyphs), width=layout.width, lead=((" " * (margin + 4), "gf.plain"),))
    return lines


def _label_of(excerpt: Excerpt, diagnostic: Diagnostic) -> str:
    """What would have stood under the carets, had the source been there to show."""
    if excerpt.is_primary:
        return diagnostic.label
    return next((one.label for one in diagnostic.annotations if one.span == excerpt.span), "")


def _path_lines(diagnostic: Diagnostic, report: Report, margin: int, layout: Layout) -> list[Text]:
    steps = path_steps(diagnostic, report)
    if len(steps) < 2:
        return []
    glyphs = layout.glyphs
    if diagnostic.severity != "error":
        return _remark_lines("path", Text(draw_breadcrumb(steps, glyphs=glyphs)), margin, layout)
    lead = _lead("path", margin)
    indent = sum(len(text) for text, _ in lead)
    rail = draw_rail(path_rows(steps, report), width=layout.width - indent, glyphs=glyphs)
    return [line(*(lead if index == 0 else ((" " * indent, "gf.plain"),)), *row) for index, row in enumerate(rail)]


def _remarks(diagnostic: Diagnostic, reports: Sequence[Report]) -> list[tuple[str, str]]:
    remarks = [("note", note) for note in diagnostic.notes]
    hidden = hidden_text(diagnostic, reports[0].target)
    if hidden:
        remarks.append(("note", hidden))
    others = [target_text(report.target) for report in reports[1:]]
    if others:
        shown = ", ".join(others[:4]) + (f" and {len(others) - 4} more" if len(others) > 4 else "")
        remarks.append(("note", f"the same for {shown}"))
    return remarks


def _help_lines(way_out: Help, margin: int, layout: Layout) -> list[Text]:
    glyphs = layout.glyphs
    lines = _remark_lines("help", styled(way_out.text, glyphs), margin, layout)
    word, _, outcome = tried_text(way_out.repair).partition(": ")
    if way_out.repair is not None and outcome:
        glyph, style = {
            True: (f"{glyphs.tried} ", "gf.good"),
            False: (f"{glyphs.failed} ", "gf.warning"),
            None: ("", "gf.dim"),
        }[way_out.repair.verified]
        text = Text.assemble((f"{glyph}{word}: ", style), styled(outcome, glyphs))
        lines += fill(text, width=layout.width, lead=((" " * (margin + len(" = help: ")), "gf.plain"),))
    return lines


def _lead(word: str, margin: int) -> tuple[tuple[str, str], ...]:
    style = "gf.help" if word == "help" else "gf.dim" if word == "more" else "gf.word"
    return (f"{'':{margin}} = ", "gf.gutter"), (f"{word}: ", style)


def _remark_lines(word: str, text: Text, margin: int, layout: Layout) -> list[Text]:
    return fill(text, width=layout.width, lead=_lead(word, margin))
