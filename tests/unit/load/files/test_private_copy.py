"""The file that torch reads in place of the user's: private, gone afterwards, and told as such where it has no room."""

from __future__ import annotations

import tempfile

import pytest

from gradflow.errors import LoadError
from gradflow.load.files.archive import open_archive, write_archive
from gradflow.load.files.private_copy import private_copy

LARGE = 200_000


@pytest.fixture
def archive(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with (tmp_path / "given.pt").open("wb") as file:
        write_archive(file, "given", {"a": b"x" * LARGE})
    with open_archive(tmp_path / "given.pt") as opened:
        yield opened
    assert not list(tmp_path.glob("gradflow-*"))


@pytest.fixture
def no_large_files(archive):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGE // 2, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def copy_of(archive):
    return private_copy(archive, "copy.pt", "root", lambda writer: writer.copy("a", archive))


def test_only_this_user_can_enter_the_folder_and_the_records_are_there(archive):
    with copy_of(archive) as path:
        assert path.parent.stat().st_mode & 0o777 == 0o700
        with open_archive(path) as copied:
            assert (copied.root, copied.names, copied.size("a")) == ("root", ("a",), LARGE)


@pytest.mark.usefixtures("no_large_files")
def test_a_copy_that_has_no_room_is_one_clear_error(archive):
    with pytest.raises(LoadError, match=r"no room for a copy of `.*given\.pt`") as caught, copy_of(archive):
        pytest.fail("the copy is not whole")
    assert "File too large" in caught.value.note
    assert "TMPDIR" in caught.value.hint


def test_no_temporary_folder_is_one_clear_error(archive, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "there_is_no_such_folder")
    with pytest.raises(LoadError, match="no room for a copy") as caught, copy_of(archive):
        pytest.fail("there is no folder for it")
    assert "TMPDIR" in caught.value.hint


def test_what_goes_wrong_with_the_copy_in_hand_is_not_told_as_a_lack_of_room(archive):
    with pytest.raises(OSError, match="of the block"), copy_of(archive):
        raise OSError("of the block")
