"""How far a value that a function computes goes to the functions that called it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradflow.location import SourceSpan
from gradflow.source.returned import kept_at


def places(folder: Path, helper: str) -> list[int]:
    """The lines, the first of them where ``# asked`` stands in the helper, the others where it is called."""
    path = folder / "net.py"
    path.write_text(f"{helper}\ndef forward(x):\n    y = run(x)\n    y = 1\n    return y\n")
    lines = path.read_text().splitlines()
    asked = 1 + next(number for number, text in enumerate(lines) if text.endswith("# asked"))
    call = 1 + lines.index("    y = run(x)")
    spans = [
        SourceSpan(path=str(path), line=line, column=5, end_line=line, end_column=9, function=function)
        for line, function in ((asked, "run"), (call, "forward"), (99, "main"))
    ]
    return [span.line - asked for span in kept_at(spans)]


@pytest.mark.parametrize(
    "helper",
    [
        "def run(x):\n    return abs(x)  # asked",
        "def run(x):\n    found = abs(x)  # asked\n    return found",
        "run = lambda x: abs(x)  # asked",
    ],
)
def test_what_is_returned_is_kept_by_the_caller(tmp_path: Path, helper: str) -> None:
    asked, call, *others = places(tmp_path, helper)
    assert asked == 0
    assert call > 0
    assert others == []  # `forward` returns something else under the same name


@pytest.mark.parametrize(
    "helper",
    [
        "def run(x):\n    found = abs(x)  # asked\n    return x",
        "def run(x):\n    abs(x)  # asked\n    return x",
        "def run(x):\n    def inner():\n        abs(x)  # asked\n    return inner()",
    ],
)
def test_what_is_not_returned_stays(tmp_path: Path, helper: str) -> None:
    assert places(tmp_path, helper) == [0]
