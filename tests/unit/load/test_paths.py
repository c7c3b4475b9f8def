"""Paths: what is no file is told without opening it, and nothing is read without end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gradflow.errors import LoadError
from gradflow.load.files.kind import existing_file
from gradflow.load.paths import is_file, is_folder, read_bounded, special_kind, user_path

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")


def test_home_is_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/m.pt") == tmp_path / "m.pt"
    assert user_path("a~b") == Path("a~b")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("~nosuchuser/m.pt", "home folder of a user that there is not"),
        ("a\0b", "NUL character"),
        ("", "path is empty"),
        (" ", "path is empty"),
    ],
)
def test_what_can_be_no_path_is_one_error(name: str, said: str) -> None:
    with pytest.raises(LoadError, match=said):
        user_path(name)
    with pytest.raises(LoadError, match=said):
        existing_file(name, "a model")


@needs_pipes
def test_a_pipe_and_a_device_are_called_what_they_are(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.pt")
    (tmp_path / "file.pt").write_bytes(b"x")
    assert special_kind(tmp_path / "fifo.pt") == "a named pipe"
    assert special_kind(Path(os.devnull)) == "a device"
    assert [special_kind(tmp_path / name) for name in ("file.pt", "nothing.pt", ".", "n" * 5000)] == [""] * 4
    with pytest.raises(LoadError, match="is a named pipe, not a model"):
        existing_file(str(tmp_path / "fifo.pt"), "a model")
    with pytest.raises(LoadError, match="is a device, not a picture"):
        existing_file(os.devnull, "a picture")


def test_a_name_that_is_too_long_and_links_in_a_circle_are_one_error(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="cannot be read") as caught:
        existing_file("n" * 300 + ".pt", "a model")
    assert "too long" in caught.value.note
    (tmp_path / "loop.pt").symlink_to(tmp_path / "loop.pt")
    with pytest.raises(LoadError, match="cannot be read"):
        existing_file(str(tmp_path / "loop.pt"), "a model")
    (tmp_path / "dangling.pt").symlink_to(tmp_path / "nothing.pt")
    with pytest.raises(LoadError, match="there is no file"):
        existing_file(str(tmp_path / "dangling.pt"), "a model")
    assert not is_file(Path("n" * 5000))
    assert not is_folder(Path("n" * 5000))


@needs_pipes
def test_reading_has_a_limit_and_takes_files_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bounded(tmp_path / "file", 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_bounded(tmp_path / "file", 4)
    os.mkfifo(tmp_path / "fifo")  # to which nobody writes
    with pytest.raises(OSError, match="a named pipe"):
        read_bounded(tmp_path / "fifo", 5)
    with pytest.raises(OSError, match="a device"):
        read_bounded(Path(os.devnull), 5)
    with pytest.raises(IsADirectoryError):
        read_bounded(tmp_path, 5)
