"""A finding keeps the lines that it shows."""

from __future__ import annotations

import linecache
from pathlib import Path

from gradflow.diagnose.diagnostic import Annotation, Diagnostic
from gradflow.diagnose.source_lines import line_reader, with_source
from gradflow.location import SourceSpan


def finding(path: Path) -> Diagnostic:
    return Diagnostic(
        code="GF101",
        name="detach",
        severity="error",
        message="m",
        location=SourceSpan(path=str(path), line=2),
        annotations=(Annotation(span=SourceSpan(path=str(path), line=20), label="here"),),
    )


def test_the_lines_of_the_run_are_shown_when_the_file_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text("".join(f"x = {number}\n" for number in range(1, 31)))
    kept = with_source(finding(path))
    path.write_text("# other\n" * 30)
    linecache.checkcache(str(path))
    read = line_reader(kept)
    assert (read(str(path), 2), read(str(path), 20)) == ("x = 2", "x = 20")
    assert read(str(path), 10) == "", "only what is near to a marked line is kept"
    assert with_source(kept) is kept


def test_a_finding_that_was_not_saved_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text("a = 1\nb = 2\n")
    assert line_reader(finding(path))(str(path), 2) == "b = 2"


def test_a_finding_saved_without_its_file_does_not_show_another_that_came_later(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    kept = with_source(finding(path))
    path.write_text("secret = 1\nsecret = 2\n")
    linecache.checkcache(str(path))
    assert kept.source == ()
    assert line_reader(kept)(str(path), 2) == ""
