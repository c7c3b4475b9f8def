"""The text of a file as it was when it ran."""

from __future__ import annotations

import os
from pathlib import Path

from gradflow.source_texts import keep_text, lines_of


def test_what_was_kept_stays_though_the_file_changes_or_goes(tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text("a = 1\nb = 2\n")
    keep_text(str(file))
    file.write_text("c = 33\n")
    assert lines_of(str(file)) == ["a = 1\n", "b = 2\n"]
    file.unlink()
    assert lines_of(str(file)) == ["a = 1\n", "b = 2\n"]
    keep_text(str(file))
    assert lines_of(str(file)) == ["a = 1\n", "b = 2\n"]


def test_another_run_sees_another_text(tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text("a = 1\n")
    keep_text(str(file))
    file.write_text("a = 2\n")
    os.utime(file, ns=(1, 1))
    keep_text(str(file))
    assert lines_of(str(file)) == ["a = 2\n"]


def test_what_never_ran_is_read_as_it_is_and_what_has_no_end_is_not(tmp_path: Path) -> None:
    file = tmp_path / "other.py"
    file.write_text("a = 1\n")
    assert lines_of(str(file)) == ["a = 1\n"]
    assert lines_of("/dev/zero") == []
    assert lines_of("not a name \0") == []
