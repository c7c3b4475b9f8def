"""Colours are readable in light and dark; texts fit their boxes."""

from __future__ import annotations

from itertools import product

import pytest

from gradflow.location import SourceSpan
from gradflow.render.drawing_style import BOXES, LINES, PALETTE
from gradflow.render.drawing_text import file_line, shorten, text_width, wrap


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        *product(("ink", "muted"), ("paper", "context", "path ground", "cut ground")),
        ("cut", "paper"),
        ("cut", "cut ground"),
    ],
)
def test_text_is_readable(scheme: str, ground: str, text: str) -> None:
    assert contrast(getattr(PALETTE[text], scheme), getattr(PALETTE[ground], scheme)) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["gradient", "idle", "stray", "cut", "data"])
def test_lines_that_say_something_are_visible(scheme: str, kind: str) -> None:
    colour = PALETTE[LINES[kind].colour]
    assert contrast(getattr(colour, scheme), getattr(PALETTE["paper"], scheme)) >= 3


def test_the_dark_colour_is_found_by_the_light_one() -> None:
    assert len({colour.light for colour in PALETTE.values()}) == len(PALETTE)


def test_kinds_of_lines_differ_without_colour() -> None:
    looks = [(line.width, line.style, line.head, line.tail) for line in LINES.values()]
    assert len(set(looks)) == len(looks)
    assert len({line.sample for line in LINES.values()}) == len(LINES)


def test_styles_use_colours_of_the_palette() -> None:
    for box in BOXES.values():
        assert {box.line, box.ground} <= PALETTE.keys()


def test_widths() -> None:
    assert text_width("iiii", 10) < text_width("mmmm", 10)
    assert text_width("abc", 20) == pytest.approx(2 * text_width("abc", 10))
    assert text_width("漢", 10) > text_width("a", 10)
    assert text_width("", 10) == 0


@pytest.mark.parametrize(("text", "limit", "expected"), [("short", 5, "short"), ("0123456789", 5, "01…89")])
def test_shorten(text: str, limit: int, expected: str) -> None:
    assert shorten(text, limit) == expected
    assert len(shorten(text, limit)) <= limit


def test_wrap_keeps_every_word() -> None:
    lines = wrap("one two three four five", 9)
    assert lines == ["one two", "three", "four five"]
    assert wrap("", 9) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/someone/project/models/neck.py", "models/neck.py:42"),
        ("/neck.py", "neck.py:42"),
        ("models/deep/neck.py", "models/deep/neck.py:42"),
        ("C:\\work\\models\\neck.py", "models/neck.py:42"),
        ("/x/lib/python3.11/site-packages/torchvision/models/resnet.py", "torchvision/models/resnet.py:42"),
        ("<string>", "<string>:42"),
    ],
)
def test_file_line_never_shows_an_absolute_path(path: str, expected: str) -> None:
    assert file_line(SourceSpan(path=path, line=42)) == expected
