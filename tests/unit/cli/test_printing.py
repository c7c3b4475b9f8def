"""Streams that are closed, full, or not there."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from gradflow.cli.printing import printing, say, standing_in, without_stand_ins
from gradflow.errors import RenderError

RUN = "import sys; from gradflow.cli import main; sys.exit(main(sys.argv[1:]))"


def shell(redirection: str, *argv: str) -> subprocess.CompletedProcess[str]:
    command = f'"$0" -c "$CODE" "$@" {redirection}'
    return subprocess.run(
        ["sh", "-c", command, sys.executable, *argv], env={"CODE": RUN}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "2>/dev/full"])
def test_a_stream_that_is_closed_is_no_failure(redirection: str) -> None:
    done = shell(redirection, "explain", "GF101")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert ("detach" in done.stdout) is (">&-" not in redirection.replace("2>&-", ""))


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "2>/dev/full"])
def test_what_cannot_be_told_has_its_status_still(redirection: str) -> None:
    done = shell(redirection, "explain", "GF999")
    assert done.returncode == 2
    assert done.stdout == ""  # no error lands among the results
    assert done.stderr.startswith("error: ") is (redirection == ">&-")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["explain", "GF101"], ["--version"]])
def test_a_full_stdout_is_a_failure(words: list[str]) -> None:
    done = shell(">/dev/full", *words)
    assert done.returncode == 2
    assert done.stderr == "error: cannot write to stdout: No space left on device\n"


def test_a_program_sees_the_streams_as_python_has_them(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, pathlib\npathlib.Path(sys.argv[1]).write_text(f'{sys.stdout} {sys.stderr is None}')\n",
        encoding="utf-8",
    )
    assert shell(">&-", "run", str(program), str(tmp_path / "seen")).returncode == 0
    assert (tmp_path / "seen").read_text(encoding="utf-8") == "None False"


def test_a_stand_in_goes_when_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with standing_in():
        with printing():
            sys.stdout.write("nobody hears this")
        with without_stand_ins():
            assert sys.stdout is None
        assert sys.stdout is not None
    assert sys.stdout is None


def test_a_stream_that_is_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    with standing_in(), without_stand_ins(), printing():
        sys.stdout.write("heard\n")
    assert stream.getvalue() == "heard\n"


def test_a_closed_stdout_is_told_and_another_error_of_values_is_not_taken_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(ValueError, match="mine"), printing():
        raise ValueError("mine")
    stream.close()
    with pytest.raises(RenderError, match="cannot write to stdout: it is closed"), printing():
        sys.stdout.write("x")


def test_saying_something_to_a_closed_stderr_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    say("one")
    assert stream.getvalue() == "one\n"
    stream.close()
    say("two")
