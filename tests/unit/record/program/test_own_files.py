"""Which files a program is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradflow.record.program.own_files import own_files


def test_a_file_counts_once_and_libraries_do_not(tmp_path: Path) -> None:
    path, link = tmp_path / "program.py", tmp_path / "link.py"
    path.write_text("")
    link.symlink_to(path)
    found = own_files([str(link), str(path), pytest.__file__], None)
    assert str(link) in found
    assert str(path) not in found
    assert pytest.__file__ not in found
