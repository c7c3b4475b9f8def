"""What is said while something takes long."""

from __future__ import annotations

import io
import re
import sys

import pytest

from gradflow.cli.progress import progress


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_name_is_shown_and_drives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with progress() as say:
        say("loading [link=x]a[/link]\x1b]0;owned\x07\n::error::")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert r"loading [link=x]a[/link]\x1b]0;owned\x07\n::error::" in shown
    assert not {"\x1b", "\x07"} & set(shown)


def test_nothing_is_shown_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as say:
        say("loading")
    assert capsys.readouterr().err == ""
