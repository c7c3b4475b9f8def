"""Which pyproject.toml is found, and which one above may be somebody else's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gradflow.declared.finding import find_pyproject
from gradflow.errors import UsageError

DECLARING = "[tool.gradflow.models.net]\nsource = 'a'\n"


@pytest.fixture
def below(tmp_path: Path) -> Path:
    folder = tmp_path / "package" / "sub"
    folder.mkdir(parents=True)
    return folder


def declare(folder: Path) -> Path:
    path = folder / "pyproject.toml"
    path.write_text(DECLARING, encoding="utf-8")
    return path


def test_the_nearest_file_that_declares_models_is_found(tmp_path: Path, below: Path) -> None:
    (tmp_path / "package" / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
    (tmp_path / ".git").mkdir()
    assert find_pyproject(below) is None
    declaring = declare(tmp_path)
    assert find_pyproject(below) == declaring


@pytest.mark.parametrize("is_worktree", [True, False])
def test_the_search_ends_at_the_root_of_the_repository(tmp_path: Path, below: Path, is_worktree: bool) -> None:
    declare(tmp_path)
    if is_worktree:  # there `.git` is a file
        (below.parent / ".git").write_text("gitdir: elsewhere\n", encoding="utf-8")
    else:
        (below.parent / ".git").mkdir()
    assert find_pyproject(below) is None
    at_the_root = declare(below.parent)
    assert find_pyproject(below) == at_the_root


def test_the_search_ends_at_home(tmp_path: Path, below: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(tmp_path)
    monkeypatch.setenv("HOME", str(below.parent))
    assert find_pyproject(below) is None
    at_home = declare(below.parent)
    assert find_pyproject(below) == at_home


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there are no owners")
@pytest.mark.parametrize("has_repository", [True, False])
def test_a_file_above_that_everybody_can_write_to_is_not_used(
    tmp_path: Path, below: Path, has_repository: bool
) -> None:
    if has_repository:
        (tmp_path / ".git").mkdir()
    declaring = declare(tmp_path)
    tmp_path.chmod(0o1777)  # as /tmp is
    with pytest.raises(UsageError, match="everybody can write to its folder"):
        find_pyproject(below)
    assert find_pyproject(tmp_path) == declaring  # who is in that folder has chosen it
    tmp_path.chmod(0o755)
    declaring.chmod(0o666)
    with pytest.raises(UsageError, match="everybody can write to it"):
        find_pyproject(below)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_above_that_another_user_owns_is_not_used(tmp_path: Path, below: Path) -> None:
    declaring = declare(tmp_path)
    os.chown(declaring, 65534, -1)
    with pytest.raises(UsageError, match="another user owns it"):
        find_pyproject(below)
