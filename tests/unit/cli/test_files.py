from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gradflow.cli.files import check_writable, with_part, write_text
from gradflow.errors import RenderError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_is_written_as_utf8_and_nothing_else_remains(tmp_path: Path) -> None:
    write_text(tmp_path / "r.json", "✂\r\n")
    assert (tmp_path / "r.json").read_bytes() == "✂\r\n".encode()
    assert names(tmp_path) == ["r.json"]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.json"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(RenderError, match=r"cannot write .*r\.json`: No space left on device"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["r.json"]


def test_permissions_are_kept_and_new_files_obey_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    before = os.umask(0o027)
    try:
        write_text(path, "a")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    write_text(path, "b")
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    goal, link = tmp_path / "goal.json", tmp_path / "link.json"
    goal.write_text("old")
    link.symlink_to(goal)
    write_text(link, "new")
    assert link.is_symlink()
    assert goal.read_text() == "new"


def test_a_device_is_written_to_and_not_replaced() -> None:
    check_writable(Path(os.devnull))
    write_text(Path(os.devnull), "gone")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_what_cannot_be_written_is_known_beforehand(tmp_path: Path) -> None:
    check_writable(tmp_path / "new.json")
    with pytest.raises(RenderError, match="it is a folder"):
        check_writable(tmp_path)
    with pytest.raises(RenderError, match="there is no folder") as caught:
        check_writable(tmp_path / "a" / "b.json")
    assert caught.value.hint == f"mkdir -p {tmp_path / 'a'}"
    (tmp_path / "file").write_text("")
    with pytest.raises(RenderError, match="there is no folder"):
        check_writable(tmp_path / "file" / "b.json")


def test_a_read_only_folder_is_known_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # root may write everywhere, so the system's answer is given by hand
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RenderError, match="may not be written to"):
        check_writable(tmp_path / "r.json")


def test_a_part_goes_before_the_suffix() -> None:
    assert with_part(Path("out/cam.png"), "layer4.1") == Path("out/cam-layer4.1.png")
