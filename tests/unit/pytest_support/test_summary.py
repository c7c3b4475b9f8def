"""What is written when the tests are over."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradflow.pytest_support.summary import finish

PYPROJECT = '[tool.gradflow.models.net]\nsource = "net.py:Net"\n'
FINDING = {"test": "t", "check_count": 1, "lock": {"net": {"parameters": {"a.weight": "learns"}}}}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_lock_is_written_and_replaced(root: Path) -> None:
    assert finish([FINDING], root, None) == (["wrote gradflow.lock"], True)
    first = (root / "gradflow.lock").read_text(encoding="utf-8")
    (root / "gradflow.lock").write_text(first.replace("learns", "no gradient"), encoding="utf-8")
    assert finish([FINDING], root, None) == (["wrote gradflow.lock"], True)
    assert (root / "gradflow.lock").read_text(encoding="utf-8") == first


@pytest.mark.parametrize("content", ["# mine\n", "version = 1\n"])
def test_a_file_of_that_name_that_is_no_lock_is_kept_and_told(content: str, root: Path) -> None:
    (root / "gradflow.lock").write_text(content, encoding="utf-8")
    lines, is_complete = finish([FINDING], root, "out")
    assert not is_complete
    assert lines[0] == "wrote out/summary.md"  # the one does not keep the other from being written
    assert lines[1].endswith("gradflow.lock` exists and was not written by gradflow")
    assert lines[2].startswith("help: move it away")
    assert (root / "gradflow.lock").read_text(encoding="utf-8") == content


def test_a_write_protected_lock_is_kept_and_told(root: Path) -> None:
    finish([FINDING], root, None)
    (root / "gradflow.lock").chmod(0o444)
    lines, is_complete = finish([FINDING], root, None)
    assert not is_complete
    assert "it is write-protected" in lines[0]
