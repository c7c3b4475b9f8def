"""Reports with hostile texts in every field, and what no output may hold."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy
from hypothesis import strategies as st

from gradflow.cam.result import CamResult
from gradflow.graph.flow_graph import FlowGraph

PIECES = (
    *("\x1b[2J", "\x1b]0;owned\x07", "\x9b31m", "\x1b[8m", "\x00", "\x7f", "\r", "\t", "\x0c"),
    *("\n", "\n::error file=a::b\n", "\n\n# heading\n", "\n```\n", "\n- item\n", "\u2028::error::c", "\x85"),
    *("\u202e", "\u2066", "\u200f", "\u061c", "\u200b", "\u00ad", "\ufeff", "\ud800", "\U000e0041", "\ue000", "\ufffe"),
    *("::error file=a::b", "##[error]d", "##vso[task.complete]", " ::", "%0A", "]]>", "-->", "\\N", "\\"),
    *("`", "``", "```", "|", "<img src=x>", "</pre>", "</code>", "<!--", "[a](http://b)", "![a](b)", "@team", "#12"),
    *("*b*", "_c_", "~~d~~", "$e$", "&lt;", "&#60;", "<https://f>", "'", '"', "{{ g }}", "{% h %}", "[bold]", "%s"),
    *(" ", "  ", ".", "a", "layer4", "слой", "图层", "\u3000", "👩\u200d👩\u200d👧"),
)
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)

# what annotations name that only a type checker imports
_NAMES: dict[str, Any] = {"CamResult": CamResult, "numpy": numpy}


def infested(value: Any, change: Callable[[str], str], *, paths: bool = True) -> Any:
    """The same report with every text changed, ids of nodes too; ``paths`` also those of files."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        return tuple(infested(entry, change, paths=paths) for entry in value)
    if isinstance(value, FlowGraph):
        names = ("nodes", "edges", "cuts", "branches", "modules", "score", "layer")
        return FlowGraph(**{name: infested(getattr(value, name), change, paths=paths) for name in names})
    if not dataclasses.is_dataclass(value):
        return value
    hints = get_type_hints(type(value), localns=_NAMES)
    changed = {
        one.name: infested(getattr(value, one.name), change, paths=paths)
        for one in dataclasses.fields(value)
        if not _is_word(hints[one.name]) and one.name != "schema_version" and (paths or one.name != "path")
    }
    return dataclasses.replace(value, **changed)


def _is_word(hint: Any) -> bool:
    """Whether only certain words can stand there."""
    return get_origin(hint) is Literal or any(_is_word(one) for one in get_args(hint))


def assert_drives_nothing(text: str, *, has_colour: bool = False) -> None:
    if has_colour:
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    unseen = {one for one in text if unicodedata.category(one)[0] in "CZ" and one not in "\n \u00a0\u200c\u200d"}
    assert not unseen - {"\u3000"}, unseen
    assert "##[" not in text
    assert "##vso[" not in text
    for line in text.split("\n"):
        assert not line.lstrip().startswith("::") or line.lstrip().startswith("::: "), line
    text.encode()
