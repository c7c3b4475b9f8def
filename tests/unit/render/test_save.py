from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gradflow.errors import RenderError
from gradflow.render import EXTENSIONS, save
from gradflow.render.concise import render_concise
from gradflow.render.terminal import render_text


@pytest.mark.parametrize("extension", [".txt", ".md", ".sarif", ".json", ".TXT"])
def test_extension_chooses_the_format(extension: str, examples: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / f"report{extension}"
    assert save(examples.detach(), str(path)) == path
    assert "GF101" in path.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_what_the_terminal_shows_below_the_mark(examples: ModuleType, tmp_path: Path) -> None:
    save(examples.detach(), tmp_path / "r.txt")
    text = (tmp_path / "r.txt").read_text(encoding="utf-8")
    assert text == "# written by gradflow\n" + render_text(examples.detach())
    assert str(examples.detach()) == render_text(examples.detach())


@pytest.mark.parametrize("name", ["report", "report.bmp", "archive.tar.xz"])
def test_unknown_extension_names_the_known_ones(name: str, examples: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(RenderError) as raised:
        save(examples.detach(), tmp_path / name)
    assert all(extension in raised.value.note for extension in EXTENSIONS)
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_said(examples: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="there is no folder") as raised:
        save(examples.detach(), tmp_path / "no" / "report.txt")
    assert raised.value.hint == f"mkdir -p {tmp_path / 'no'}"


def test_folder_in_the_way_is_said(examples: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "report.txt").mkdir()
    with pytest.raises(RenderError, match="it is a folder"):
        save(examples.detach(), tmp_path / "report.txt")


def test_failure_leaves_the_old_file(examples: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.txt"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(RenderError, match="No space left on device"):
        save(examples.detach(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_keeps_permissions_and_links(examples: ModuleType, tmp_path: Path) -> None:
    path, link = tmp_path / "report.txt", tmp_path / "link.txt"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    save(examples.detach(), link)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert "GF101" in path.read_text(encoding="utf-8")


def test_text_renderers_load_neither_torch_nor_networkx_nor_graphviz() -> None:
    code = (
        "import sys, gradflow.render.terminal, gradflow.render.concise, gradflow.render.html, gradflow.render.sarif\n"
        "import gradflow.render.markdown, gradflow.render.notebook\n"
        "print(sorted({'torch', 'networkx', 'graphviz', 'pygraphviz'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_renderer_takes_an_empty_report(tmp_path: Path) -> None:
    from gradflow.report import Report, Score, Target

    report = Report(verdict="error", target=Target(name=""), score=Score(description=""))
    assert render_concise(report).startswith("gradflow: error: ")
    for extension in (".txt", ".md", ".sarif", ".json", ".html"):
        save(report, tmp_path / f"r{extension}")
