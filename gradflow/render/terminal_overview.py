"""What frames the findings in the terminal: several layers at a glance, the facts of the run, the last line."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.render.facts import cam_texts
from gradflow.render.paragraph import fill, line, styled
from gradflow.render.path_drawing import middle
from gradflow.render.terminal_diagnostic import Layout
from gradflow.render.words import (
    branches_text,
    cuts_text,
    gradient_text,
    largest_norm,
    measured_shape,
    ranked,
    run_text,
    shape_text,
    summary,
)
from gradflow.report import Report
from gradflow.source_place import place, shown_path

__all__ = ["cam_lines", "cut_lines", "fact_lines", "summary_lines", "table_lines"]

_HEADINGS = ("layer", "verdict", "L2 norm", "shape", "first finding")
_SHORTEST_NAME = 24


def table_lines(report: Report, layout: Layout) -> list[Text]:
    """A table of all layers of a check: verdict, norm of the gradient, shape, and the first finding."""
    glyphs = layout.glyphs
    rows = [_table_row(one, layout) for one in report.reports]
    widths = [
        max(cell_len(heading), *(cell_len(row[column]) for row in rows)) for column, heading in enumerate(_HEADINGS)
    ]
    columns = [0, 1, 2, 3, 4]
    for dropped in (None, 3, 2):
        if dropped is not None:
            columns.remove(dropped)
        # names give way before a column does
        room = layout.width - sum(widths[column] + 2 for column in columns[1:])
        if room >= min(widths[0], _SHORTEST_NAME):
            break
    widths[0] = min(widths[0], max(room, _SHORTEST_NAME))
    widths[4] = min(widths[4], max(layout.width - sum(widths[column] + 2 for column in columns[:-1]), 12))
    heading = "  ".join(f"{_HEADINGS[column]:{widths[column]}}" for column in columns)
    lines = [line((heading.rstrip(), "gf.dim"))]
    for one, row in zip(report.reports, rows, strict=True):
        texts = {
            column: set_cell_size(middle(row[column], widths[column], glyphs), widths[column]) for column in columns
        }
        style = "gf.good" if one.connected else "gf.error"
        pieces = [(f"{texts[column]}  ", style if column == 1 else "gf.plain") for column in columns]
        text = line(*pieces)
        text.rstrip()
        lines.append(text)
    return lines


def _table_row(report: Report, layout: Layout) -> tuple[str, str, str, str, str]:
    glyphs = layout.glyphs
    found = ranked(report.diagnostics)
    return (
        glyphs.prose(f"{report.target.name}{report.target.slice}"),
        report.verdict,
        largest_norm(report) or "-",
        shape_text(measured_shape(report)) or "-",
        glyphs.prose(_short(found[0])) if found else "",
    )


def _short(diagnostic: Diagnostic) -> str:
    where = ""
    if diagnostic.location is not None:
        file = shown_path(diagnostic.location.path).rpartition("/")[2]
        where = f" {file}:{diagnostic.location.line}"
    return f"{diagnostic.code} {diagnostic.name}{where}"


def cut_lines(report: Report, layout: Layout) -> list[Text]:
    """Which cuts must be mended together; nothing when one is all there is to mend."""
    text = cuts_text(report.flow.cuts)
    if not text:
        return []
    lines = fill(styled(f"{text}:", layout.glyphs, "gf.headline"), width=layout.width)
    for cut in report.flow.cuts:
        if cut.needed:
            where = place(cut.span) if cut.span is not None else f"module `{cut.module}`" if cut.module else ""
            lead = (("  ", "gf.plain"), (f"{layout.glyphs.cut} ", "gf.cut"))
            lines += fill(styled(f"{where} ({cut.cause})".lstrip(), layout.glyphs), width=layout.width, lead=lead)
    return lines


def fact_lines(report: Report, layout: Layout) -> list[Text]:
    """The gradient that arrived, what ran, what was assumed, and what could not be determined."""
    lines = []
    # between two lines of a program nearly everything branches: it is the model's own skips that one wants to know of
    branches = () if report.environment.watched else report.flow.branches
    facts = [] if report.others else [gradient_text(report), branches_text(branches, report.verdict)]
    for text in (*facts, run_text(report)):
        if text:
            lines += _fact(text, "gf.plain", layout)
    word = "  assumed: "
    for text in _merged(report, "assumptions"):
        words = styled(text, layout.glyphs, "gf.dim")
        lines += fill(words, width=layout.width, lead=((word, "gf.dim"),), indent=len(word) + 2)
        word = " " * len(word)
    for text in _merged(report, "undetermined"):
        lines += _fact(f"not determined: {text}", "gf.warning", layout)
    return lines


def _merged(report: Report, name: str) -> tuple[str, ...]:
    """The texts of all layers, each once."""
    return tuple(dict.fromkeys(text for one in report.reports for text in getattr(one, name)))


def _fact(text: str, style: str, layout: Layout) -> list[Text]:
    return fill(styled(text, layout.glyphs, style), width=layout.width, lead=(("  ", "gf.plain"),), indent=4)


def cam_lines(report: Report, layout: Layout) -> list[Text]:
    """The class activation maps that were made."""
    return [one for text in cam_texts(report) for one in _fact(text, "gf.plain", layout)]


def summary_lines(report: Report, layout: Layout) -> list[Text]:
    """The last line: the verdict, and how many findings of each severity."""
    style = "gf.good" if report.exit_code == 0 else "gf.error"
    word, _, rest = summary(report).partition(" (")
    text = line(("verdict: ", "gf.word"), (word, style), (f" ({rest}" if rest else "", "gf.plain"))
    return fill(text, width=layout.width)
