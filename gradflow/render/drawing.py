"""Reports as pictures: DOT, SVG, PNG and PDF."""

from __future__ import annotations

from gradflow.errors import RenderError
from gradflow.graph.focus import shown_cuts
from gradflow.render.drawing_dot import dot_source
from gradflow.render.drawing_scene import build_scene
from gradflow.render.drawing_text import file_line, wrap
from gradflow.render.graphviz_layout import run_graphviz
from gradflow.render.printable_copy import printable_copy
from gradflow.render.svg_finish import finish_svg
from gradflow.render.words import gradient_text, headline
from gradflow.report import Report

__all__ = ["render_bytes", "render_dot", "render_svg"]

_TITLE_LIMIT = 72
_DETAIL_LIMIT = 90
_CUTS_NAMED = 3
_PNG_DPI = 144  # twice what a drawing on paper needs: sharp on today's screens


def render_dot(report: Report) -> str:
    """The graph of a report in the DOT language, modules as nested clusters; needs no Graphviz to be installed."""
    return _source(report)


def render_svg(report: Report) -> str:
    """The graph of a report as SVG: text that can be selected, light and dark by the viewer's preference.

    Raises
    ------
    RenderError
        When Graphviz is missing or fails.
    """
    report = printable_copy(report)
    drawn = run_graphviz(render_dot(report), "svg")
    title, *rest = (line.replace("`", "") for line in (headline(report), *_details(report)))
    return finish_svg(drawn, title=title, description="; ".join(rest))


def render_bytes(report: Report, output_format: str) -> bytes:
    """The graph of a report as ``"png"``, ``"pdf"`` or ``"svg"``.

    Raises
    ------
    RenderError
        When the format is none of these, or Graphviz is missing or fails.
    """
    if output_format == "svg":
        return render_svg(report).encode()
    if output_format not in ("png", "pdf"):
        raise RenderError(f"a graph cannot be drawn as `{output_format}`", hint="choose svg, png, pdf or dot")
    return run_graphviz(_source(report, dpi=_PNG_DPI if output_format == "png" else None), output_format)


def _source(report: Report, *, dpi: int | None = None) -> str:
    report = printable_copy(report)
    return dot_source(build_scene(report), title=_title(report), details=_details(report), dpi=dpi)


def _title(report: Report) -> list[str]:
    mark = "✓" if report.connected else "✗"
    return wrap(f"{mark} {headline(report)}".replace("`", ""), _TITLE_LIMIT)


def _details(report: Report) -> list[str]:
    """What the headline leaves open: which cuts, or what the first finding is; the gradient; the model."""
    details = []
    for cut in shown_cuts(report.flow.cuts)[:_CUTS_NAMED]:
        where = f" at {file_line(cut.span)}" if cut.span is not None else ""
        details.append(f"✂ {cut.cause}" + (f": {cut.operation}" if cut.operation != cut.cause else "") + where)
    if not details and report.diagnostics:
        details.append(report.diagnostics[0].message)
    gradient = gradient_text(report)
    if gradient:
        details.append(f"gradient at {report.target.name}: {gradient}")
    if report.environment.model:
        details.append(f"model {report.environment.model}")
    if not report.flow.nodes:
        details.append("there is no graph to draw: the run was not recorded")
    return [line for detail in details for line in wrap(detail.replace("`", ""), _DETAIL_LIMIT)]
