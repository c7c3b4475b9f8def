"""Graphviz is found, and its failures become one clear sentence."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from gradflow.errors import RenderError
from gradflow.render import graphviz_layout
from gradflow.render.graphviz_layout import run_graphviz

SOURCE = 'digraph { a -> b [label="é ✂"] }'


@pytest.fixture
def no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without the ``dot`` program."""
    monkeypatch.setattr(graphviz_layout.shutil, "which", lambda name: None)


def program(folder: Path, text: str) -> None:
    """Puts a ``dot`` program made of shell commands into a folder."""
    path = folder / "dot"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.usefixtures("no_program")
@pytest.mark.parametrize(("output_format", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_library_needs_no_program(output_format: str, start: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_graphviz(SOURCE, output_format).startswith(start)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_the_program_on_the_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, 'echo "drawn by the program with $1"; cat')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert run_graphviz(SOURCE, "svg").decode() == f"drawn by the program with -Tsvg\n{SOURCE}"


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_a_failing_program_gives_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, 'echo "Format: not recognized" >&2; exit 3')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(RenderError, match="could not draw the graph as png") as caught:
        run_graphviz(SOURCE, "png")
    assert caught.value.note == "Format: not recognized"
    assert "pygraphviz" in caught.value.hint


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_a_layout_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "exec sleep 60")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(RenderError, match=r"within 0\.3 seconds") as caught:
        run_graphviz(SOURCE, "svg", timeout_s=0.3)
    assert ".dot" in caught.value.hint


@pytest.mark.usefixtures("no_program")
def test_without_any_graphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphviz_layout, "_LIBRARY", "import there_is_no_such_module")
    with pytest.raises(RenderError) as caught:
        run_graphviz(SOURCE, "svg")
    assert "there_is_no_such_module" in caught.value.note
    assert "pip install" in caught.value.hint


@pytest.mark.usefixtures("no_program")
def test_without_a_python_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(RenderError, match="could not be started"):
        run_graphviz(SOURCE, "svg")
