"""The audit for a terminal: how many parameters get a gradient, why the others do not, and every module in a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from gradflow.audit_report import AuditReport
from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.render.audit_rows import ModuleRow, module_rows
from gradflow.render.audit_words import advice, audit_facts, count_text, ending, headline, row_note, with_names
from gradflow.render.console import NARROWEST, WIDEST_PROSE, is_ascii_only, print_lines, text_of
from gradflow.render.paragraph import fill, line, styled
from gradflow.render.path_drawing import middle
from gradflow.render.printable_copy import printable_copy
from gradflow.render.terminal_diagnostic import Layout, diagnostic_lines
from gradflow.render.theme import ASCII, UNICODE
from gradflow.render.words import number, ranked
from gradflow.report import Report, Target

__all__ = ["print_audit", "render_audit_text"]

_MOST_ROWS = 60
_BAR_WIDTH = 12
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_FEWEST_DECADES = 3.0  # nearly equal sizes are not drawn as if they differed
_SHORTEST_NAME = 20
_HEADINGS = ("module", "parameters", "entries", "L2 norm", "typical entry", "")


def render_audit_text(report: AuditReport, *, width: int = 100, color: bool = False, ascii_only: bool = False) -> str:
    """The audit as text, with a final line end; parameters as for the text of a check."""
    return text_of(_lines(report, width=width, ascii_only=ascii_only), width=width, color=color)


def print_audit(report: AuditReport, console: Console) -> None:
    """Print the audit on a console made by :func:`gradflow.render.console.make_console`."""
    print_lines(console, _lines(report, width=console.width, ascii_only=is_ascii_only(console.encoding)))


def _lines(report: AuditReport, *, width: int, ascii_only: bool) -> list[Text]:
    report = printable_copy(report)
    width = max(width, NARROWEST)
    layout = Layout(width=min(width, WIDEST_PROSE), source_width=width, glyphs=ASCII if ascii_only else UNICODE)
    found = ranked(report.diagnostics)
    blocks = [_headline(report, layout)]
    blocks += [_finding(report, one, layout) for one in found]
    blocks.append(_table(report, layout))
    blocks.append(_facts(report, layout))
    blocks.append(_last(report, layout) if found else [])
    lines: list[Text] = []
    for block in filter(None, blocks):
        lines += [Text(""), *block] if lines else block
    return lines


def _headline(report: AuditReport, layout: Layout) -> list[Text]:
    text = headline(report)
    count, sep, rest = text.partition(" get")
    # where nothing can learn, nothing is wrong for certain, and nothing is good either
    style = "gf.error" if report.exit_code else "gf.good" if report.trainable else "gf.warning"
    shown = Text.assemble(styled(count, layout.glyphs, style), styled(sep + rest, layout.glyphs, "gf.headline"))
    return fill(shown, width=layout.width, indent=2)


def _finding(report: AuditReport, diagnostic: Diagnostic, layout: Layout) -> list[Text]:
    target = Target(name=diagnostic.path[-1].label if diagnostic.path else "", kind="parameter")
    about = Report(verdict="broken", target=target, score=report.score)
    return diagnostic_lines(with_names(diagnostic), [about], layout, show_path=bool(diagnostic.path))


def _table(report: AuditReport, layout: Layout) -> list[Text]:
    rows = module_rows(report)
    if not rows:
        return []
    left_out = _unremarkable(rows)
    cells = [_cells(row) for row in rows]
    widths = [max(cell_len(heading), *(cell_len(one[i]) for one in cells)) for i, heading in enumerate(_HEADINGS[:4])]
    notes = max(cell_len(one[4]) for one in cells)
    # the norm's bar stays longest: it is what the table is looked at for
    columns = [0, 1, 2, 3]
    for dropped in (None, 2, 3):
        if dropped is not None:
            columns.remove(dropped)
        room = layout.width - sum(widths[i] + 2 for i in columns[1:]) - (_BAR_WIDTH + 4 + notes)
        if room >= min(widths[0], _SHORTEST_NAME):
            break
    widths[0] = min(widths[0], max(room, _SHORTEST_NAME))
    scale = _scale(rows)
    lines = [_heading(columns, widths)]
    for index, (row, texts) in enumerate(zip(rows, cells, strict=True)):
        if index in left_out:
            if index - 1 not in left_out:
                gap = next(n for n in range(index, len(rows) + 1) if n not in left_out) - index
                lines.append(line((f"{layout.glyphs.ellipsis} {gap} more, each with a gradient", "gf.dim")))
            continue
        lines.append(_row(row, texts, columns, widths, scale, layout))
    return lines + _legend(rows, scale, layout)


def _legend(rows: Sequence[ModuleRow], scale: tuple[float, float], layout: Layout) -> list[Text]:
    """What the bars mean; nothing where there is none."""
    sizes = [row.typical for row in rows if row.typical]
    if not sizes:
        return []
    ends = f"from {number(10 ** scale[0])} (empty) to {number(max(sizes))} (full)"
    text = f"typical entry: root mean square of the weights' gradients; log scale {ends}"
    return fill(styled(text, layout.glyphs, "gf.dim"), width=layout.width, lead=(("  ", "gf.plain"),), indent=4)


def _unremarkable(rows: Sequence[ModuleRow]) -> frozenset[int]:
    """Rows that are left out of a table that is too long: those between the ends with nothing to say."""
    if len(rows) <= _MOST_ROWS:
        return frozenset()
    middle_rows = range(_MOST_ROWS // 4, len(rows) - _MOST_ROWS // 4)
    return frozenset(index for index in middle_rows if not row_note(rows[index]))


def _cells(row: ModuleRow) -> tuple[str, str, str, str, str]:
    norm = "-" if row.l2_norm is None else number(row.l2_norm)
    return row.name, count_text(row), f"{row.entry_count:,}", norm, row_note(row)


def _heading(columns: Sequence[int], widths: Sequence[int]) -> Text:
    texts = [f"{_HEADINGS[i]:{'<' if i == 0 else '>'}{widths[i]}}" for i in columns]
    return line(("  ".join([*texts, _HEADINGS[4]]), "gf.dim"))


def _row(
    row: ModuleRow,
    texts: tuple[str, str, str, str, str],
    columns: Sequence[int],
    widths: Sequence[int],
    scale: tuple[float, float],
    layout: Layout,
) -> Text:
    glyphs = layout.glyphs
    name = middle(glyphs.prose(texts[0]), widths[0], glyphs)
    pieces = [(set_cell_size(name, widths[0]), "gf.dim" if row.is_frozen else "gf.plain")]
    bad = not row.is_frozen and (bool(row.states & {"none", "not finite"}) or not row.is_registered)
    style = "gf.error" if bad else "gf.plain"
    styles = ("", style, "gf.dim", "gf.plain")
    pieces += [(f"  {texts[i]:>{widths[i]}}", styles[i]) for i in columns[1:]]
    bar = _bar(row.typical, scale, glyphs.ascii_only)
    pieces.append((f"  {bar:{_BAR_WIDTH}}", "gf.carries"))
    note = texts[4]
    if note:
        mark = glyphs.not_arrived if bad else " "
        pieces.append((f"  {mark} {note}", "gf.error" if bad else "gf.dim"))
    text = line(*pieces)
    text.rstrip()
    return text


def _scale(rows: Sequence[ModuleRow]) -> tuple[float, float]:
    """The exponents of ten at which a bar is empty and full."""
    sizes = [math.log10(row.typical) for row in rows if row.typical]
    if not sizes:
        return 0.0, 1.0
    most = max(sizes)
    return min(min(sizes) - 0.5, most - _FEWEST_DECADES), most


def _bar(size: float | None, scale: tuple[float, float], ascii_only: bool) -> str:
    """The size on a logarithmic scale."""
    if not size:
        return ""
    low, high = scale
    eighths = max(round((math.log10(size) - low) / (high - low) * _BAR_WIDTH * 8), 1)
    if ascii_only:
        return "#" * max(round(eighths / 8), 1)
    return _EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _facts(report: AuditReport, layout: Layout) -> list[Text]:
    lines = []
    for text in audit_facts(report):
        lines += fill(styled(text, layout.glyphs), width=layout.width, lead=(("  ", "gf.plain"),), indent=4)
    word = "  assumed: "
    for text in report.assumptions:
        words = styled(text, layout.glyphs, "gf.dim")
        lines += fill(words, width=layout.width, lead=((word, "gf.dim"),), indent=len(word) + 2)
        word = " " * len(word)
    for text in report.undetermined:
        words = styled(f"not determined: {text}", layout.glyphs, "gf.warning")
        lines += fill(words, width=layout.width, lead=(("  ", "gf.plain"),), indent=4)
    return lines


def _last(report: AuditReport, layout: Layout) -> list[Text]:
    lines = []
    text = advice(report)
    if text:
        lines += fill(styled(text, layout.glyphs), width=layout.width, lead=(("note: ", "gf.word"),), indent=2)
    style = "gf.error" if report.exit_code else "gf.good"
    return lines + fill(line(("audit: ", "gf.word"), (ending(report), style)), width=layout.width)
