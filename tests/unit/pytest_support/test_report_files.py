"""The files of failing checks, and the page that links them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradflow.errors import RenderError
from gradflow.pytest_support.report_files import write_files, write_summary
from gradflow.report import Report, Score, Target


def test_files_of_tests_with_odd_parameters_do_not_meet(tmp_path: Path) -> None:
    report = Report(verdict="unused", target=Target(name="a"), score=Score(description="score[1]"))
    tests = ("tests/t.py::f[a/b]", "tests/t.py::f[a:b]")
    names = [path.name for test in tests for path in write_files(report, tmp_path / "out", test)]
    assert len(set(names)) == 4
    assert all(name.startswith("t.py--f-a-b-") for name in names)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)


def test_the_summary_is_a_table_with_links(tmp_path: Path) -> None:
    failed = {"test": "t.py::f[a|b]", "check_count": 2, "reason": "cut | here", "files": ["f.json", "f.svg"]}
    text = write_summary(tmp_path, [{"test": "t.py::g", "check_count": 1}, failed]).read_text(encoding="utf-8")
    assert "3 checked, 1 failed." in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 3
    assert rows[2].count("|") == 5
    assert "[json](f.json), [svg](f.svg)" in rows[2]


def test_nothing_failed(tmp_path: Path) -> None:
    text = write_summary(tmp_path / "new", [{"test": "t.py::g", "check_count": 1}]).read_text(encoding="utf-8")
    assert text == "# Gradient checks\n\n1 checked, 0 failed.\n\n<!-- written by gradflow -->\n"


def test_a_summary_replaces_its_older_self_and_no_page_of_the_user(tmp_path: Path) -> None:
    write_summary(tmp_path, [{"test": "t.py::f", "check_count": 1}])
    assert "2 checked" in write_summary(tmp_path, [{"test": "t.py::f", "check_count": 2}]).read_text(encoding="utf-8")
    page = tmp_path / "summary.md"
    page.write_text("# Gradient checks\n\nmy own notes about gradflow\n", encoding="utf-8")
    with pytest.raises(RenderError, match="was not written by gradflow"):
        write_summary(tmp_path, [{"test": "t.py::f", "check_count": 3}])
    assert "my own notes" in page.read_text(encoding="utf-8")


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("", encoding="utf-8")
    with pytest.raises(RenderError, match=r"there can be no folder `.*out`"):
        write_summary(tmp_path / "out", [])
