"""The look of drawings: colours for light and dark, and what each kind of group and link looks like.

Nothing is said by colour alone: each kind also has its own border, line, arrow or words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["BOXES", "FONT", "LINES", "PALETTE", "BoxStyle", "Colour", "LineKind", "LineStyle", "Role"]

FONT = "Helvetica"
TITLE_SIZE = 13.0
TEXT_SIZE = 11.0
SMALL_SIZE = 9.5

Role = Literal["layer", "score", "cut", "finding", "path", "idle", "lost", "unused", "before", "input", "missing"]
LineKind = Literal["gradient", "idle", "stray", "cut", "data", "context"]


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour by what it is for; no two light values are equal, since the dark one is found by it."""

    light: str
    dark: str


# contrast of text on its ground is at least 4.5 in both schemes; a test computes it
PALETTE = {
    "paper": Colour("#fefefe", "#0d1117"),
    "ink": Colour("#1f2328", "#e6edf3"),
    "muted": Colour("#57606a", "#9aa4af"),
    "frame": Colour("#d0d7de", "#3d444d"),
    "line": Colour("#8c959f", "#768390"),
    "context": Colour("#f6f8fa", "#161b22"),
    "path": Colour("#0860ca", "#58a6ff"),
    "path ground": Colour("#ddf0ff", "#12304f"),
    "cut": Colour("#c4202b", "#ff8078"),
    "cut ground": Colour("#ffeceb", "#43171a"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxStyle:
    """How a group is drawn; ``line`` and ``ground`` name colours of :data:`PALETTE`."""

    line: str
    ground: str
    width: float
    legend: str = ""
    double: bool = False


BOXES: dict[Role, BoxStyle] = {
    "layer": BoxStyle(line="path", ground="path ground", width=1.8, double=True),
    "score": BoxStyle(line="path", ground="path ground", width=1.8),
    "path": BoxStyle(line="path", ground="paper", width=1.8),
    "cut": BoxStyle(line="cut", ground="cut ground", width=2.4),
    "finding": BoxStyle(line="cut", ground="cut ground", width=1.8),
    "idle": BoxStyle(line="path", ground="paper", width=1.0),
    "lost": BoxStyle(line="line", ground="paper", width=1.0, legend="computed from the layer, without gradient to it"),
    "unused": BoxStyle(line="line", ground="paper", width=1.0, legend="computed from the layer, not used by the score"),
    "before": BoxStyle(line="frame", ground="context", width=1.0, legend="not computed from the layer"),
    "input": BoxStyle(line="frame", ground="context", width=1.0),
    "missing": BoxStyle(line="cut", ground="paper", width=1.8, double=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LineStyle:
    """How a link is drawn. Links point the way data flows, downwards; ``tail`` is the end where a gradient arrives."""

    colour: str
    width: float
    style: str
    head: str
    tail: str
    sample: str
    legend: str


LINES: dict[LineKind, LineStyle] = {
    "gradient": LineStyle(
        colour="path",
        width=2.6,
        style="solid",
        head="none",
        tail="normal",
        sample="▲━━",
        legend="data goes down, its gradient comes back up to the layer",
    ),
    "idle": LineStyle(
        colour="path",
        width=1.2,
        style="solid",
        head="none",
        tail="empty",
        sample="△──",
        legend="a way back to the layer, but no gradient arrives from the score",
    ),
    "stray": LineStyle(
        colour="muted",
        width=1.6,
        style="dashed",
        head="none",
        tail="empty",
        sample="△┄┄",
        legend="the gradient comes up here, but does not get to the layer",
    ),
    "cut": LineStyle(
        colour="cut",
        width=2.2,
        style="dashed",
        head="vee",
        tail="tee",
        sample="✂ ┅",
        legend="cut: data goes on, its gradient stops",
    ),
    "data": LineStyle(
        colour="muted", width=1.2, style="dashed", head="vee", tail="none", sample="┄┄↓", legend="data without gradient"
    ),
    "context": LineStyle(
        colour="line",
        width=0.9,
        style="solid",
        head="vee",
        tail="none",
        sample="──↓",
        legend="data that does not depend on the layer",
    ),
}
