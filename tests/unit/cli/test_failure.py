from __future__ import annotations

import io
import sys

import pytest

from gradflow.cli.failure import report_failure
from gradflow.errors import LoadError

ERROR = LoadError(
    "cannot import object reference `train:build`",
    note="ModuleNotFoundError: No module named 'train'\n"
    "looked in /home/ada/a-long-path-that-must-stay-whole/project/src",
    hint="run from the project root or pass `train.py:build`",
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "ascii"


def test_piped_each_part_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert report_failure(ERROR) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: cannot import object reference `train:build`",
        "  note: ModuleNotFoundError: No module named 'train'",
        "        looked in /home/ada/a-long-path-that-must-stay-whole/project/src",
        "  help: run from the project root or pass `train.py:build`",
    ]


def test_in_a_terminal_it_is_wrapped_and_paths_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    report_failure(ERROR)
    assert terminal.getvalue().splitlines() == [
        "error: cannot import object reference",
        "       `train:build`",
        "  note: ModuleNotFoundError: No module",
        "        named 'train'",
        "        looked in",
        "        /home/ada/a-long-path-that-must-stay-whole/project/src",
        "  help: run from the project root or",
        "        pass `train.py:build`",
    ]


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", "xterm")])
def test_colour_only_where_it_is_wanted(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(name, value)
    report_failure(ERROR)
    assert ("\x1b[1;31merror\x1b[0m: cannot" in terminal.getvalue()) is (value == "xterm")


def test_what_the_terminal_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    report_failure(LoadError("no file `Bär.py`"))
    assert "`B\\xe4r.py`" in terminal.getvalue()


def test_control_characters_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    report_failure(LoadError("no layer `\x1b[2J\x07`"))
    assert "\x1b" not in capsys.readouterr().err


def test_an_unexpected_exception_is_called_a_bug_with_its_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")  # the path of this file may be long
    with pytest.raises(KeyError) as caught:
        {}["missing"]
    assert report_failure(caught.value) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error: a mistake of gradflow, not of your code: KeyError: 'missing'"
    assert lines[1].startswith(f"  note: raised at {__file__}:")
    assert lines[1].endswith('{}["missing"]')
    assert "--debug" in lines[2]
