"""Text in drawings: how wide it is, how it is shortened, and how it is made safe for Graphviz."""

from __future__ import annotations

import html

from gradflow.graph.elements import Node
from gradflow.location import SourceSpan
from gradflow.printable import printable

__all__ = ["escape", "file_line", "shape_and_type", "shorten", "text_width", "wrap"]

# advance widths of Helvetica in 1/1000 em for the characters from space to ~, from its Adobe font metrics
_WIDTHS = (
    "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 "
    "556 556 278 278 584 584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 "
    "667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556 333 556 556 500 556 556 278 556 "
    "556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500 334 260 334 584"
)
_WIDTH_OF = {chr(32 + place): int(width) / 1000 for place, width in enumerate(_WIDTHS.split())}
_WIDTH_OF["\u00a0"] = _WIDTH_OF[" "]
# viewers without Helvetica or Arial take a font that is up to this much wider
_SLACK = 1.2
_BOLDER = 1.12


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """How wide a text is at most, in points, in any of the usual sans-serif fonts of ``size`` points."""
    slack = _SLACK * _BOLDER if bold else _SLACK
    return sum(_WIDTH_OF.get(character, 1.0) for character in text) * size * slack


def shorten(text: str, limit: int) -> str:
    """The text with its middle left out where it has more than ``limit`` characters."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def wrap(text: str, limit: int) -> list[str]:
    """The text in lines of at most ``limit`` characters, broken between words; a longer word is shortened."""
    lines: list[str] = []
    for word in (shorten(word, limit) for word in text.split()):
        if lines and len(lines[-1]) + 1 + len(word) <= limit:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(word)
    return lines


def escape(text: str) -> str:
    """The text as it may stand in an HTML-like label of Graphviz."""
    return html.escape(printable(text), quote=True)


def file_line(span: SourceSpan) -> str:
    """``models/neck.py:42``: never an absolute path, so that pictures of the same code are equal on every machine."""
    parts = printable(span.path).replace("\\", "/").split("/")
    for directory in ("site-packages", "dist-packages"):
        if directory in parts:
            return f"{'/'.join(parts[len(parts) - parts[::-1].index(directory) :])}:{span.line}"
    is_absolute = not parts[0] or parts[0].endswith(":")
    return f"{'/'.join(parts[-2:] if is_absolute else parts).lstrip('/')}:{span.line}"


def shape_and_type(node: Node) -> str:
    """``[1, 512, 7, 7] float32``, as far as it is known."""
    shape = "" if node.shape is None else f"[{', '.join(map(str, node.shape))}]"
    return f"{shape} {node.dtype}".strip()
