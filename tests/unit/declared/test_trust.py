"""`trust = true` in a pyproject.toml counts for what git tracks, and for nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from gradflow.cli import main
from gradflow.declared.trust import why_trust_does_not_count

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A pyproject.toml and a model in one repository, nothing added yet."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init")
    (folder / "pyproject.toml").write_text(
        "[tool.gradflow.models.net]\nsource = 'm.pt'\ntrust = true\ninput-shapes = ['2,5']\n", encoding="utf-8"
    )
    (folder / "m.pt").write_bytes(b"model")
    return folder


def why(project: Path, source: str = "m.pt") -> str:
    return why_trust_does_not_count(project / "pyproject.toml", source)


def test_it_counts_where_git_tracks_both_files(project: Path) -> None:
    git(project, "add", "pyproject.toml", "m.pt")
    assert why(project) == ""
    with (project / "pyproject.toml").open("a") as file:
        file.write("# a remark that is not committed yet\n")
    assert why(project) == ""
    assert why(project, str(project / "m.pt")) == ""


@pytest.mark.parametrize("added", ["pyproject.toml", "m.pt"])
def test_one_of_them_is_not_enough(project: Path, added: str) -> None:
    git(project, "add", added)
    missing = ({"pyproject.toml", "m.pt"} - {added}).pop()
    assert why(project) == f"git does not track `{missing}`"


def test_without_a_repository_it_does_not_count(tmp_path: Path, project: Path) -> None:
    (project / ".git").rename(tmp_path / "elsewhere")
    assert "no repository" in why(project)


def test_a_model_of_another_repository_does_not_count(tmp_path: Path, project: Path) -> None:
    git(project, "add", "pyproject.toml")
    other = tmp_path / "other"
    other.mkdir()
    (other / "m.pt").write_bytes(b"model")
    git(other, "init")
    git(other, "add", "m.pt")
    assert why(project, "../other/m.pt")
    inner = project / "inner"
    shutil.move(other, inner)
    assert why(project, "inner/m.pt")


def test_a_tracked_link_says_nothing_about_the_file_it_leads_to(tmp_path: Path, project: Path) -> None:
    (tmp_path / "evil.pt").write_bytes(b"evil")
    (project / "link.pt").symlink_to(tmp_path / "evil.pt")
    git(project, "add", "pyproject.toml", "link.pt")
    assert why(project, "link.pt")


def test_a_tracked_folder_of_that_name_is_not_the_file(project: Path) -> None:
    (project / "m.pt").unlink()
    (project / "m.pt").mkdir()
    (project / "m.pt" / "inside").write_bytes(b"x")
    git(project, "add", "pyproject.toml", "m.pt")
    shutil.rmtree(project / "m.pt")
    (project / "m.pt").write_bytes(b"evil")
    assert why(project) == "git does not track `m.pt`"


@pytest.mark.parametrize("name", ["*.pt", ":m.pt", "-m.pt", "[m].pt", "m\n.pt"])
def test_a_name_is_no_pattern_and_no_option(project: Path, name: str) -> None:
    git(project, "add", "pyproject.toml", "m.pt")
    (project / name).write_bytes(b"evil")
    assert why(project, name)
    git(project, "--literal-pathspecs", "add", "--", name)
    assert why(project, name) == ""


def test_the_repository_is_not_that_of_the_environment(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(project, "add", "pyproject.toml", "m.pt")
    (project / ".git").rename(tmp_path / "elsewhere")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_WORK_TREE", str(project))
    assert why(project)


def test_no_program_that_the_repository_names_is_run(tmp_path: Path, project: Path) -> None:
    program, recording = tmp_path / "program", tmp_path / "ran"
    program.write_text(f"#!/bin/sh\ntouch '{recording}'\n", encoding="utf-8")
    program.chmod(0o755)
    git(project, "add", "pyproject.toml", "m.pt")
    for key in ("core.fsmonitor", "core.pager", "core.editor", "filter.x.clean", "filter.x.smudge"):
        git(project, "config", key, str(program))
    (project / ".gitattributes").write_text("* filter=x\n", encoding="utf-8")
    recording.unlink(missing_ok=True)
    assert why(project) == ""
    assert not recording.exists()


def test_without_git_nothing_is_tracked(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(project, "add", "pyproject.toml", "m.pt")
    monkeypatch.setenv("PATH", "")
    assert "no git" in why(project)
    (project / "git").write_text("#!/bin/sh\nprintf 'pyproject.toml\\0m.pt\\0'\n", encoding="utf-8")
    (project / "git").chmod(0o755)
    monkeypatch.setenv("PATH", ".")
    monkeypatch.chdir(project)
    assert "no git" in why(project)


class Touching:
    """Unpickling it makes a folder."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


def test_an_untracked_model_is_refused_with_the_way_out(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    model = torch.nn.Sequential(torch.nn.Linear(5, 3))
    model.extra = Touching()  # type: ignore[assignment]
    torch.save(model, "m.pt")
    assert main(["check"]) == 2
    assert not Path("ran").exists()
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "`trust = true` in pyproject.toml does not count here: git does not track `pyproject.toml` and `m.pt`" in said
    )
    assert "`--trust`" in said
    git(project, "add", "pyproject.toml", "m.pt")
    assert main(["check"]) == 0
    assert Path("ran").exists()


def test_the_word_of_the_user_counts_without_git(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    model = torch.nn.Sequential(torch.nn.Linear(5, 3))
    model.extra = Touching()  # type: ignore[assignment]
    torch.save(model, "m.pt")
    assert main(["check", "--trust"]) == 0
    assert "1 of 1 expectations met" in capsys.readouterr().out


def test_a_file_that_took_the_place_of_a_tracked_one_does_not_count(project: Path) -> None:
    model = project / "m.pt"
    model.write_bytes(b"one")
    git(project, "add", "pyproject.toml", "m.pt")
    assert why_trust_does_not_count(project / "pyproject.toml", "m.pt") == ""
    model.write_bytes(b"two")
    assert "not the file that git has" in why_trust_does_not_count(project / "pyproject.toml", "m.pt")


def test_a_file_of_git_lfs_counts_for_what_its_pointer_says(project: Path) -> None:
    content = b"weights" * 1000
    digest = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"
    (project / "m.pt").write_text(pointer)
    git(project, "add", "pyproject.toml", "m.pt")
    (project / "m.pt").write_bytes(content)
    assert why_trust_does_not_count(project / "pyproject.toml", "m.pt") == ""
    (project / "m.pt").write_bytes(content + b"!")
    assert "not the file that git has" in why_trust_does_not_count(project / "pyproject.toml", "m.pt")
