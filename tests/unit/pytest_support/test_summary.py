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


CONFLICT = """<<<<<<< HEAD
"a.weight" = "learns"
=======
"a.weight" = "no gradient"
>>>>>>> other
"""


@pytest.fixture
def merged(root: Path) -> str:
    """A lock of two models that a merge has left with a conflict."""
    (root / "pyproject.toml").write_text(PYPROJECT + PYPROJECT.replace("net", "other"), encoding="utf-8")
    finish([FINDING, {**FINDING, "lock": {"other": {"parameters": {"b.weight": "learns"}}}}], root, None)
    content = (root / "gradflow.lock").read_text(encoding="utf-8").replace('"a.weight" = "learns"\n', CONFLICT)
    (root / "gradflow.lock").write_text(content, encoding="utf-8")
    return content


def test_a_lock_that_cannot_be_read_is_kept_as_long_as_a_model_in_it_was_not_checked(root: Path, merged: str) -> None:
    lines, is_complete = finish([FINDING], root, None)
    assert not is_complete
    assert lines[0] == "error: `gradflow.lock` was not updated, because what it has of `other` cannot be read"
    assert lines[1].startswith("note: `gradflow.lock` cannot be read")
    assert lines[2].startswith("help: mend the file")
    assert (root / "gradflow.lock").read_text(encoding="utf-8") == merged


@pytest.mark.usefixtures("merged")
def test_it_is_written_anew_where_all_were_checked(root: Path) -> None:
    both = {**FINDING, "lock": {**FINDING["lock"], "other": {"parameters": {"b.weight": "learns"}}}}  # type: ignore[dict-item]
    assert finish([both], root, None) == (["wrote gradflow.lock"], True)
    assert "<<<<" not in (root / "gradflow.lock").read_text(encoding="utf-8")


def test_a_model_that_was_not_checked_keeps_what_it_had(root: Path, merged: str) -> None:
    (root / "gradflow.lock").write_text(merged.replace(CONFLICT, '"a.weight" = "no gradient"\n'), encoding="utf-8")
    assert finish([FINDING], root, None) == (["wrote gradflow.lock"], True)
    content = (root / "gradflow.lock").read_text(encoding="utf-8")
    assert '"a.weight" = "learns"' in content
    assert '"b.weight" = "learns"' in content
