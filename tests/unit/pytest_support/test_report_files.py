"""The files of failing checks, and the page that links them."""

from __future__ import annotations

from pathlib import Path

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
    assert text == "# Gradient checks\n\n1 checked, 0 failed.\n"
