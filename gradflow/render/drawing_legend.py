"""The legend of a drawing: one entry for each kind of mark that occurs in it, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradflow.render.drawing_scene import Scene
from gradflow.render.drawing_style import BOXES, LINES, BoxStyle

__all__ = ["LegendEntry", "legend"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendEntry:
    """A mark and what it means: the text ``sample`` in a ``colour``, or a small ``box``."""

    meaning: str
    sample: str = ""
    colour: str = "ink"
    box: BoxStyle | None = None


def legend(scene: Scene) -> tuple[LegendEntry, ...]:
    """What the reader needs to know, lines first."""
    return tuple(_entries(scene))


def _entries(scene: Scene) -> Iterator[LegendEntry]:
    kinds = {line.kind for line in scene.lines}
    for kind, line in LINES.items():
        if kind in kinds:
            yield LegendEntry(sample=line.sample, colour=line.colour, meaning=line.legend)
    boxes = tuple(scene.boxes())
    if any(line.is_skip for line in scene.lines) or any("↷" in mark for box in boxes for mark in box.marks):
        yield LegendEntry(sample="↷", meaning="skip: a way around some modules")
    if any(box.is_stack for box in boxes):
        yield LegendEntry(sample="1 … 9", meaning="several like modules, drawn as one")
    if any(box.is_frozen for box in boxes):
        yield LegendEntry(sample="❄", meaning="frozen parameters; a gradient still passes through")
    roles = {box.role for box in boxes}
    for role, style in BOXES.items():
        if role in roles and style.legend:
            yield LegendEntry(box=style, meaning=style.legend)
