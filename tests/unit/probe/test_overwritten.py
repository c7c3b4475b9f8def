"""The line at which a variable is set again before anyone read it."""

from __future__ import annotations

import textwrap

import pytest

from gradflow.location import SourceSpan
from gradflow.probe.overwritten import find_overwrite

LOST = [
    pytest.param("x = a(inp)\nx = b(inp)  # again", id="next line"),
    pytest.param("x = a(inp)\ny = inp + 1\nx = b(y)  # again", id="later"),
    pytest.param("x = a(inp)\nif flag:\n    x = b(inp)  # again", id="in a branch that ran"),
    pytest.param("flag.x = a(inp)\nflag.x = b(inp)  # again", id="an attribute"),
]
KEPT = [
    pytest.param("x = a(inp)\nx = b(x)", id="read by the second"),
    pytest.param("x = a(inp)\ny = x\nx = b(inp)", id="kept under another name"),
    pytest.param("x = a(inp)\nx += 1\nx = b(inp)", id="changed in place"),
    pytest.param("x = a(inp)\nif x.sum() > 0:\n    x = b(inp)", id="read by the condition"),
    pytest.param("x = a(inp)\nif flag:\n    x = b(inp)  # did not run", id="in a branch that did not run"),
    pytest.param("x[0] = a(inp)\nx = b(inp)", id="not a plain name"),
    pytest.param("x = a(inp)", id="not set again"),
    pytest.param("flag.x = a(inp)\nflag.x = b(flag.x)", id="an attribute that is read"),
    pytest.param("flag.x = a(inp)\nflag = inp\nflag.x = b(inp)", id="an attribute of something else"),
    pytest.param("flag.x = a(inp)\nflag.x += 1\nflag.x = b(inp)", id="an attribute that is changed in place"),
]


def overwrite(tmp_path, body: str) -> int | None:
    source = "def forward(a, b, inp, flag, x=None):\n" + textwrap.indent(body, "    ") + "\n    return x\n"
    path = tmp_path / "program.py"
    path.write_text(source)
    lines = source.splitlines()
    executed = {(str(path), number) for number, line in enumerate(lines, start=1) if "did not run" not in line}
    span = SourceSpan(path=str(path), line=2, column=9, end_line=2, end_column=15, function="forward")
    found = find_overwrite(span, executed)
    return found.span.line if found is not None else None


@pytest.mark.parametrize("body", LOST)
def test_the_second_assignment_is_found(tmp_path, body) -> None:
    (expected,) = [number for number, line in enumerate(body.splitlines(), start=2) if line.endswith("# again")]
    assert overwrite(tmp_path, body) == expected


@pytest.mark.parametrize("body", KEPT)
def test_a_value_that_may_be_read_is_not_lost(tmp_path, body) -> None:
    assert overwrite(tmp_path, body) is None
