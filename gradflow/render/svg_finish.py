"""Makes Graphviz' SVG fit for the web: light and dark, searchable, accessible, and stable from run to run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from xml.etree import ElementTree

from gradflow.printable import inert
from gradflow.render.drawing_style import PALETTE

__all__ = ["finish_svg"]

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_FONTS = "'Segoe UI', Roboto, 'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif"
_TALLEST_FITTED_PT = 1100.0
_HORIZONTAL = re.compile(r"-?\d+(?:\.\d+)?(?=,)")


def finish_svg(drawn: bytes, *, title: str, description: str) -> str:
    """The SVG that Graphviz has drawn, with dark colours, tooltips, whole lines of text, and without what is of no use.

    Graphviz' running numbers, comments and version go, so that the file changes only where the picture does.
    """
    root = ElementTree.fromstring(drawn)  # noqa: S314 - written by Graphviz, from text that is escaped
    graph = root.find(f"{{{_SVG}}}g")
    if graph is None:
        raise ValueError("not an SVG drawn by Graphviz")
    _unwrap_tooltips(graph)
    for element in root.iter():
        element.attrib.pop("id", None)
        element.attrib.pop("font-family", None)
        element.attrib.pop("{http://www.w3.org/XML/1998/namespace}space", None)
    for group in graph.findall(f"{{{_SVG}}}g"):
        kinds = group.get("class", "").split()
        if "node" in kinds:
            _join_texts(group, _middle(group))
        elif "module" in kinds:
            _join_texts(group, None)
        if "title" in kinds:
            _remove_titles(group)
    _remove_titles(graph)
    _put_legend_last(graph)
    height = float(root.get("height", "0").removesuffix("pt"))
    root.set("class", "gradflow")
    root.set("role", "img")
    root.set("font-family", _FONTS)
    root.set("style", "max-width:100%;height:auto")
    root.insert(0, _element("title", title))
    root.insert(1, _element("desc", description))
    root.insert(2, _element("style", _style_sheet(fits_screen=height <= _TALLEST_FITTED_PT)))
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _element(tag: str, text: str) -> ElementTree.Element:
    element = ElementTree.Element(f"{{{_SVG}}}{tag}")
    element.text = inert(text)
    element.tail = "\n"
    return element


def _style_sheet(*, fits_screen: bool) -> str:
    """Dark colours by the light ones, so that a viewer without style sheets still shows the light picture."""
    rules = [
        f"svg.gradflow [{attribute}='{colour.light}']{{{attribute}:{colour.dark}}}"
        for colour in PALETTE.values()
        for attribute in ("fill", "stroke")
    ]
    fitted = "svg.gradflow:root{max-height:100vh}\n" if fits_screen else ""
    return f"{fitted}@media (prefers-color-scheme:dark){{\n" + "\n".join(rules) + "\n}"


def _unwrap_tooltips(graph: ElementTree.Element) -> None:
    """Turns Graphviz' links that only hold a tooltip into what the tooltip is for: the title of the element."""
    for group in graph.iter(f"{{{_SVG}}}g"):
        if "class" not in group.attrib:
            continue
        for child in list(group):
            link = child.find(f"{{{_SVG}}}a")
            if child.tag != f"{{{_SVG}}}g" or link is None:
                continue
            place = list(group).index(child)
            group.remove(child)
            for shift, element in enumerate(list(link)):
                group.insert(place + shift, element)
            title = group.find(f"{{{_SVG}}}title")
            if title is not None:
                title.text = link.get(f"{{{_XLINK}}}title", title.text)


def _put_legend_last(graph: ElementTree.Element) -> None:
    """The graph's own label is the legend; screen readers and text search shall meet the title first."""
    legend = ElementTree.Element(f"{{{_SVG}}}g", {"class": "legend"})
    legend.tail = "\n"
    _background, *others = graph
    legend.extend(child for child in others if child.tag != f"{{{_SVG}}}g")
    for child in legend:
        graph.remove(child)
    if len(legend):
        graph.append(legend)


def _remove_titles(group: ElementTree.Element) -> None:
    for title in group.findall(f"{{{_SVG}}}title"):
        group.remove(title)


def _middle(group: ElementTree.Element) -> float | None:
    """The middle of a node's outline, in points from the left."""
    for shape in group:
        numbers = [float(number) for number in _HORIZONTAL.findall(shape.get("points", "") or shape.get("d", ""))]
        if numbers:
            return (min(numbers) + max(numbers)) / 2
    return None


def _join_texts(group: ElementTree.Element, middle: float | None) -> None:
    """Joins the pieces of each line to one text: selected as a whole, well spaced whatever font the viewer has."""
    texts = [child for child in group if child.tag == f"{{{_SVG}}}text"]
    for _, line in groupby(texts, key=lambda text: text.get("y")):
        pieces = list(line)
        first = pieces[0]
        joined = ElementTree.Element(f"{{{_SVG}}}text")
        joined.tail = "\n"
        joined.set("text-anchor", "start" if middle is None else "middle")
        joined.set("x", first.get("x", "0") if middle is None else f"{middle:.2f}")
        joined.set("y", first.get("y", "0"))
        joined.extend(_spans(pieces))
        group.insert(list(group).index(first), joined)
        for piece in pieces:
            group.remove(piece)


def _spans(pieces: Iterable[ElementTree.Element]) -> Iterator[ElementTree.Element]:
    for piece in pieces:
        span = ElementTree.Element(f"{{{_SVG}}}tspan")
        span.text = piece.text
        for name in ("font-weight", "font-size", "fill"):
            value = piece.get(name)
            if value is not None:
                span.set(name, value)
        yield span
