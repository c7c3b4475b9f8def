from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest

from gradflow.output.sources import file_keys, imported_files, module_files, named_files


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("net.py", "x.pt", "package/__init__.py", "package/model.py", "package/__main__.py", "app/__main__.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("raise SystemExit('it was run')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def relative(paths: Iterable[Path], project: Path) -> set[str]:
    return {os.path.relpath(path, project) for path in paths}


@pytest.mark.parametrize(
    ("word", "files"),
    [
        ("x.pt", {"x.pt"}),
        ("./package/../x.pt", {"x.pt"}),
        ("net.py:Net", {"net.py"}),
        ("net.py:Outer.Net", {"net.py"}),
        ("package.model:build", {"package/__init__.py", "package/model.py"}),
        ("package:build", {"package/__init__.py", "package/__main__.py"}),
        ("app", {"app/__main__.py"}),
        ("missing.pt", set()),
        ("resnet50", set()),
        ("~nosuchuser/x.pt", set()),
        ("x" * 300, set()),
        ("a\0b", set()),
        ("", set()),
    ],
)
def test_a_word_names_the_files_that_are_there(word: str, files: set[str], project: Path) -> None:
    assert relative(named_files(word), project) == files


def test_a_home_folder_is_opened(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project))
    assert relative(named_files("~/x.pt"), project) == {"x.pt"}


def test_a_module_is_found_without_being_run(project: Path) -> None:
    assert relative(module_files("package.model"), project) == {"package/__init__.py", "package/model.py"}
    assert relative(module_files("package"), project) == {"package/__init__.py", "package/__main__.py"}
    assert list(module_files("no.such")) == []
    assert list(module_files("not a name")) == []
    assert "package" not in sys.modules


def test_one_file_has_the_same_keys_by_every_path(project: Path) -> None:
    (project / "link.pt").symlink_to("x.pt")
    os.link("x.pt", "hard.pt")
    for other in ("link.pt", "hard.pt", "./package/../x.pt", str(project / "x.pt")):
        assert file_keys(Path("x.pt")) & file_keys(Path(other)), other
    (project / "copy.pt").write_bytes((project / "x.pt").read_bytes())
    for other in ("net.py", "copy.pt", "missing.pt"):
        assert not file_keys(Path("x.pt")) & file_keys(Path(other)), other
    assert file_keys(Path("new.json")) & file_keys(Path("package/../new.json"))


def test_what_is_no_path_is_no_other_file(project: Path) -> None:
    (project / "loop").symlink_to("loop")
    for name in ("loop", "x" * 300, "a\0b"):
        assert not file_keys(project / name) & file_keys(project / "x.pt")


def test_modules_that_are_imported_have_files(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = ModuleType("odd")
    odd.__file__ = None
    monkeypatch.setitem(sys.modules, "odd", odd)
    monkeypatch.setitem(sys.modules, "odder", object())  # type: ignore[arg-type]
    assert Path(__file__) in set(imported_files())
