"""A scene in the DOT language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest

import graphviz

from gradflow.printable import inert, printable
from gradflow.render.drawing_legend import LegendEntry, legend
from gradflow.render.drawing_scene import Box, Frame, Line, Scene
from gradflow.render.drawing_style import BOXES, FONT, LINES, PALETTE, SMALL_SIZE, TEXT_SIZE, TITLE_SIZE
from gradflow.render.drawing_text import escape, shorten, text_width

__all__ = ["dot_source"]

_POINTS_PER_INCH = 72
_LINE_HEIGHT = 14.0
_BOX_MARGIN = (10.0, 8.0)
_NAME_LIMIT = 46
_TEXT_LIMIT = 72
_GAP = "\u00a0\u00a0"  # spaces that SVG does not swallow


def dot_source(scene: Scene, *, title: Iterable[str], details: Iterable[str], dpi: int | None = None) -> str:
    """The whole drawing; ``title`` gives the lines above the graph in bold, ``details`` those below them."""
    graph = graphviz.Digraph("gradflow")
    graph.attr(
        "graph",
        bgcolor=_light("paper"),
        fontname=FONT,
        fontsize=str(SMALL_SIZE),
        fontcolor=_light("ink"),
        label=_legend_label(legend(scene), scene.left_out_count),
        labeljust="l",
        labelloc="b",
        nodesep="0.25",
        pad="0.15",
        rankdir="TB",
        ranksep="0.22",
        tooltip=" ",
        **({"dpi": str(dpi)} if dpi else {}),
    )
    graph.attr("node", fontname=FONT, fontsize=str(TEXT_SIZE), fontcolor=_light("ink"), fixedsize="true", shape="box")
    graph.attr("edge", fontname=FONT, fontsize=str(SMALL_SIZE), fontcolor=_light("ink"), arrowsize="0.7")
    # dot places the title and the legend: the one belongs to a frame without border around all, the other to the graph
    with graph.subgraph(name="cluster_picture") as picture:
        label = _title_label(title, details)
        picture.attr(label=label, labelloc="t", labeljust="l", peripheries="0", **{"class": "title"})
        _add_items(picture, scene.items)
    for line in scene.lines:
        _add_line(graph, line)
    source: str = graph.source
    return source


def _light(name: str) -> str:
    return PALETTE[name].light


def _add_items(graph: graphviz.Digraph, items: Iterable[Frame | Box]) -> None:
    for item in items:
        if isinstance(item, Box):
            _add_box(graph, item)
            continue
        with graph.subgraph(name=f"cluster_{_dot_id(item.id)}") as inner:
            inner.attr(
                label=_frame_label(item),
                labeljust="l",
                labelloc="t",
                color=_light("frame"),
                style="rounded",
                margin="7",
                peripheries="1",
                tooltip=_plain(item.title),
                **{"class": "module"},
            )
            _add_items(inner, item.items)


def _frame_label(frame: Frame) -> str:
    """The module's name, and as much empty space at its right: lines that come in through the middle miss the name."""
    title, type_name = shorten(frame.title, _NAME_LIMIT), shorten(frame.type_name, _NAME_LIMIT)
    text = _text(title, size=TEXT_SIZE, bold=True) + (_text(f"{_GAP}{type_name}", colour="muted") if type_name else "")
    width = text_width(title, TEXT_SIZE, bold=True) + text_width(f"{_GAP}{type_name}", SMALL_SIZE)
    cells = f'<TD ALIGN="LEFT">{text}</TD><TD WIDTH="{width:.0f}"></TD>'
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0"><TR>{cells}</TR></TABLE>>'


def _add_box(graph: graphviz.Digraph, box: Box) -> None:
    style = BOXES[box.role]
    heading = shorten(box.title, _NAME_LIMIT)
    beside = _GAP.join(text for text in (shorten(box.type_name, _NAME_LIMIT), *box.marks) if text)
    width = text_width(heading, TEXT_SIZE, bold=True) + text_width(f"{_GAP}{beside}", SMALL_SIZE)
    rows = [_text(heading, size=TEXT_SIZE, bold=True) + (_text(f"{_GAP}{beside}", colour="muted") if beside else "")]
    for line in box.lines:
        shown = shorten(line, _TEXT_LIMIT)
        width = max(width, text_width(shown, SMALL_SIZE))
        rows.append(_text(shown, colour="cut" if line.startswith(("✂", "✗")) else "ink"))
    shapes = ["filled"]
    if box.is_operation or box.role in ("score", "input"):
        shapes.append("rounded")
    if box.is_frozen:
        shapes.append("dashed")
    graph.node(
        _dot_id(box.id),
        label=_rows(rows),
        shape="box3d" if box.is_stack else "box",
        style=",".join(shapes),
        color=_light(style.line),
        fillcolor=_light(style.ground),
        penwidth=f"{style.width:g}",
        peripheries="2" if style.double else "1",
        width=_inches(width + 2 * _BOX_MARGIN[0]),
        height=_inches(_LINE_HEIGHT * len(rows) + _BOX_MARGIN[1]),
        tooltip=_plain(box.tooltip or box.title),
        **{"class": box.role},
    )


def _add_line(graph: graphviz.Digraph, line: Line) -> None:
    style = LINES[line.kind]
    text = _text(f"{_GAP}{line.label}", colour="cut" if "✂" in line.label else "ink")
    attributes = {"label": f"<{text}>"} if line.label else {}
    graph.edge(
        _dot_id(line.source),
        _dot_id(line.target),
        color=_light(style.colour),
        penwidth=f"{style.width:g}",
        style=style.style,
        dir="both",
        arrowhead=style.head,
        arrowtail=style.tail,
        weight="8" if line.kind == "gradient" and not line.is_skip else "1",
        **attributes,
        **{"class": f"{line.kind} skip" if line.is_skip else line.kind},
    )


def _dot_id(name: str) -> str:
    """The name without what graphviz gives a meaning to: the colon of ports, HTML brackets, the backslash."""
    return printable(name).translate({ord(":"): " ", ord("<"): "(", ord(">"): ")", ord("\\"): "/"})


def _plain(text: str) -> str:
    """Text for a tooltip: nothing in it is markup."""
    escaped: str = graphviz.escape(inert(text))
    return escaped


def _inches(points: float) -> str:
    return f"{points / _POINTS_PER_INCH:.2f}"


def _text(text: str, *, size: float = SMALL_SIZE, bold: bool = False, colour: str = "ink") -> str:
    shown = escape(text).replace("  ", _GAP)
    marked = f"<B>{shown}</B>" if bold else shown
    return f'<FONT POINT-SIZE="{size:g}" COLOR="{_light(colour)}">{marked}</FONT>'


def _rows(rows: Iterable[str], align: str = "CENTER") -> str:
    cells = "".join(f'<TR><TD ALIGN="{align}">{row}</TD></TR>' for row in rows)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">{cells}</TABLE>>'


def _title_label(title: Iterable[str], details: Iterable[str]) -> str:
    bold = [_text(line, size=TITLE_SIZE, bold=True) for line in title]
    plain = [_text(line, size=TEXT_SIZE, colour="cut" if line.startswith("✂") else "muted") for line in details]
    return _rows([*bold, *plain], align="LEFT")


def _legend_label(entries: tuple[LegendEntry, ...], left_out_count: int) -> str:
    cells = [_sample(entry) + _meaning(entry.meaning) for entry in entries]
    if left_out_count:
        cells.append(f"<TD></TD>{_meaning(f'{left_out_count:,} operations are left out')}")
    if not cells:
        return ""
    half = (len(cells) + 1) // 2
    rows = "".join(f"<TR>{left}{right}</TR>" for left, right in zip_longest(cells[:half], cells[half:], fillvalue=""))
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="3" CELLPADDING="0">{rows}</TABLE>>'


def _sample(entry: LegendEntry) -> str:
    if entry.box is None:
        return f'<TD WIDTH="36" ALIGN="CENTER">{_text(entry.sample, colour=entry.colour)}</TD>'
    line, ground = _light(entry.box.line), _light(entry.box.ground)
    return f'<TD WIDTH="36" HEIGHT="9" BORDER="1" COLOR="{line}" BGCOLOR="{ground}"></TD>'


def _meaning(text: str) -> str:
    return f'<TD ALIGN="LEFT">{_text(_GAP + text, colour="muted")}</TD>'
