from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gradflow.errors import RenderError
from gradflow.output.whole_file import check_writable, is_stream, replaced_file, write_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_content_is_written_as_it_is_and_nothing_else_remains(tmp_path: Path) -> None:
    write_whole(tmp_path / "r.json", "✂\r\n".encode())
    assert (tmp_path / "r.json").read_bytes() == "✂\r\n".encode()
    assert names(tmp_path) == ["r.json"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_no_other(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.json"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Path, "replace", fail)
    expected = (
        pytest.raises(RenderError, match=r"cannot write .*r\.json`: No space left on device")
        if isinstance(error, OSError)
        else pytest.raises(KeyboardInterrupt)
    )
    with expected:
        write_whole(path, b"new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["r.json"]


def test_a_limit_of_the_system_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))
    try:
        with pytest.raises(RenderError, match="File too large"):
            write_whole(path, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["r.json"]


def test_permissions_are_kept_and_new_files_obey_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    before = os.umask(0o027)
    try:
        write_whole(path, b"a")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o666)
        write_whole(path, b"b")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to("goal.json")
    write_whole(link, b"new")  # it led nowhere until now
    write_whole(link, b"newer")
    assert link.is_symlink()
    assert (tmp_path / "goal.json").read_text() == "newer"
    assert names(tmp_path) == ["goal.json", "link.json"]


def test_the_longest_name_that_the_system_takes_is_taken(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250 + ".json")
    write_whole(path, b"a")
    assert path.read_text() == "a"
    with pytest.raises(RenderError, match="File name too long"):
        write_whole(tmp_path / ("x" * 256), b"a")


@pytest.mark.parametrize("name", ["one", "a\0b.json"])
def test_what_can_be_no_file_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    for ask in (check_writable, lambda path: write_whole(path, b"a")):
        with pytest.raises(RenderError, match="cannot write"):
            ask(tmp_path / name)
    assert names(tmp_path) == ["one", "two"]


@pytest.mark.parametrize("mode", [0o444, 0o400, 0o000])
def test_a_write_protected_file_is_not_replaced_though_its_folder_may_be_written_to(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("precious")
    path.chmod(mode)
    with pytest.raises(RenderError, match="it is write-protected"):
        write_whole(path, b"new")
    path.chmod(0o600)
    assert path.read_text() == "precious"
    write_whole(path, b"new")
    assert path.read_text() == "new"


def test_what_cannot_be_written_is_known_beforehand(tmp_path: Path) -> None:
    assert check_writable(tmp_path / "new.json") is None
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


def test_a_device_is_written_to_and_not_replaced() -> None:
    null = Path(os.devnull)
    write_whole(null, b"gone")
    assert stat.S_ISCHR(null.stat().st_mode)
    assert is_stream(null)
    assert replaced_file(null) is None


def test_a_pipe_gets_everything(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, b"x" * 200_000)
    reader.join(10)
    assert got == [b"x" * 200_000]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files have no paths here")
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_an_open_file_is_written_on_and_not_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    code = (
        "import sys; from pathlib import Path; from gradflow.output.whole_file import write_whole;"
        "print('first', flush=True); write_whole(Path(sys.argv[1]), b'report\\n'); print('last')"
    )
    path = tmp_path / "log.txt"
    path.write_text("before\n")
    with path.open("a") as log:
        subprocess.run([sys.executable, "-c", code, name], stdout=log, check=True, cwd=tmp_path)
    assert path.read_text() == "before\nfirst\nreport\nlast\n"


def test_what_would_be_replaced_is_a_regular_file_with_a_name(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    assert replaced_file(path) is None
    assert not is_stream(path)
    path.write_text("four")
    found = replaced_file(path)
    assert found is not None
    assert found.st_size == 4
    assert replaced_file(tmp_path) is None
    assert not is_stream(tmp_path)


@pytest.mark.parametrize("is_link", [False, True])
def test_a_path_through_a_folder_that_is_missing_leads_to_no_file(tmp_path, is_link):
    precious = tmp_path / "precious.txt"
    precious.write_text("precious")
    path = tmp_path / "missing" / ".." / "precious.txt"
    if is_link:
        (tmp_path / "link").symlink_to("missing/../precious.txt")
        path = tmp_path / "link"
    with pytest.raises(RenderError, match="no such folder"):
        write_whole(path, b"new")
    assert precious.read_text() == "precious"
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(["precious.txt", *(["link"] if is_link else [])])
