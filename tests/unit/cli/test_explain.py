from __future__ import annotations

import io
import sys

import pytest

from gradflow.cli import main
from gradflow.cli.pages import find_code, read_page, title_of
from gradflow.diagnose.codes import CODES
from gradflow.errors import UsageError


@pytest.mark.parametrize("text", ["GF101", "gf101", "detach", "`detach`", "[GF101]", " Detach "])
def test_a_code_is_found_as_people_write_it(text: str) -> None:
    assert find_code(text) == "GF101"


@pytest.mark.parametrize("text", ["no_grad", "no grad", "No-Grad"])
def test_a_name_is_found_with_other_separators(text: str) -> None:
    assert find_code(text) == "GF102"


@pytest.mark.parametrize(
    ("text", "close"),
    [
        ("detached", "`detach`"),
        ("numpy", "`numpy-roundtrip`"),
        ("nan", "`nan-singularity`"),
        ("inference_mod", "`inference-mode`"),
    ],
)
def test_an_unknown_code_gets_the_closest_ones(text: str, close: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_code(text)
    assert close in caught.value.hint


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_page_with_a_title(code: str) -> None:
    assert read_page(code).startswith(f"# {code} ")
    title = title_of(code)
    assert title
    assert code not in title
    assert not title.startswith(CODES[code])


def test_piped_the_page_is_plain_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "detach"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# GF101 detach")
    assert "\x1b" not in out
    assert ".md)" not in out


def test_in_a_terminal_the_page_is_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["explain", "GF101"]) == 0
    lines = terminal.getvalue().splitlines()
    assert "GF101 detach" in lines[0]
    assert not any(line.startswith("#") for line in lines)
    assert not any(line.startswith("```") for line in lines)


def test_the_list_has_every_code_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [tuple(line.split()[:2]) for line in lines] == list(CODES.items())
    assert all(len(line.split()) > 2 for line in lines)
