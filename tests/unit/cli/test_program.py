from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gradflow import __version__
from gradflow.cli import main
from gradflow.cli.program import VERBS
from gradflow.render.json_report import dumps
from gradflow.report import Report, Score, Target

ISOLATED = """
import sys
from gradflow.cli import main
status = main({argv!r})
heavy = [name for name in ("torch", "torchvision", "timm", "networkx", "numpy") if name in sys.modules]
print("\\n", status, heavy)
"""


def heavy_modules(*argv: str) -> str:
    """The last line that a fresh interpreter prints: exit status and the large packages it imported."""
    code = ISOLATED.format(argv=list(argv))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].strip()


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["explain"], *([verb, "--help"] for verb in VERBS)])
def test_what_runs_no_model_imports_no_torch(argv: list[str]) -> None:
    assert heavy_modules(*argv) == "0 []"


def test_version_names_gradflow_torch_and_python(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"gradflow {__version__} (torch 2.")
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}." in out


def test_without_a_verb_help_is_shown_and_the_status_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "gradflow check train.py:build" in captured.err


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for verb in VERBS:
        assert f"\n    {verb} " in out


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("argv", [["--help"], *([verb, "--help"] for verb in VERBS)])
def test_help_fits_the_terminal(
    argv: list[str], columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= min(columns, 100)


def test_help_of_check_has_every_documented_option(capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "--help"])
    out = capsys.readouterr().out
    for option in (
        "layer param slice weights model-arg arch trust image input input-shape target select score device dtype seed "
        "train debug format output svg cam"
    ).split():
        assert f"  --{option} " in out


@pytest.mark.parametrize(
    ("argv", "message", "help_"),
    [
        (["chek", "x"], "there is no verb `chek`", "did you mean `gradflow check`?"),
        (["resnet50"], "there is no verb `resnet50`", "`gradflow check resnet50 --layer LAYER`"),
        (["layers"], "the following arguments are required: MODEL", "`gradflow layers --help` shows"),
        (["check", "m", "--lyer", "a"], "`gradflow check` has no option `--lyer`", "did you mean `--layer`?"),
        (["check", "m", "--zzz=1"], "`gradflow check` has no option `--zzz`", "`gradflow check --help` shows all"),
        (["check", "m", "n"], "`n` is one argument too many", "`gradflow check --help`"),
        (["check", "m", "--lay", "fc"], "`gradflow check` has no option `--lay`", "did you mean `--layer`?"),
        (["layers", "m", "--output", "a"], "`gradflow layers` has no option `--output`", "`gradflow check`, `gradflow"),
        (["layers", "m", "--force"], "`gradflow layers` has no option `--force`", "`gradflow check`, `gradflow aud"),
        (["check", "m", "--strict"], "`gradflow check` has no option `--strict`", "`gradflow run` has it"),
        (["check", "m", "-o", "a"], "`gradflow check` has no option `-o`", "did you mean `--output`?"),
        (["check", "m", "-layer", "a"], "`gradflow check` has no option `-layer`", "did you mean `--layer`?"),
        (["layers", "m", "--zq"], "`gradflow layers` has no option `--zq`", "`gradflow layers --help` shows all"),
        (["check", "m", "--format", "yaml"], "argument --format: `yaml` is not one of text, concise, json", ""),
        (["check", "m", "--cam", "a.jpg"], "argument --cam: `a.jpg` does not end in .png or .npy", ""),
        (["check", "m", "--svg", "a"], "argument --svg: `a` does not end in .svg, .dot, .png or .pdf", ""),
        (["check", "m", "--seed", "x"], "argument --seed: `x` is not a whole number", ""),
        (["check", "m", "--seed", "-1"], "argument --seed: `-1` is not between 0 and", ""),
        (["check", "m", "--model-arg", "a"], "argument --model-arg: `a` is not of the form KEY=VALUE", ""),
        (["check", "m", "--layer"], "argument --layer: expected one argument", ""),
        (["check", "m", "--param", "w", "--cam", "a.png"], "a Grad-CAM is made of a layer", "add `--layer LAYER`"),
        (["check", "m", "--output", "none/r.json"], "cannot write `none/r.json`: there is no folder `none`", "mkdir"),
        (["check", "m", "--output", ""], "no file is named: the path is empty", "is a variable of the shell not set?"),
        (["check", "m", "--svg=~nosuchuser/r.svg"], "`~nosuchuser/r.svg` begins with the home folder of a user", "./~"),
        (["check", "m", "--output", "."], "cannot write `.`: it is a folder", "name a file"),
        (["check", "m", "--svg", "a.svg", "--output", "./a.svg"], "`a.svg` would be written twice", "a file of its"),
        (["explain", "GF999"], "there is no code or cause `GF999`", "`gradflow explain` lists all codes"),
        (["render", "none.json"], "cannot read `none.json`: No such file or directory", ""),
    ],
)
def test_a_request_that_makes_no_sense_is_told_so(
    argv: list[str], message: str, help_: str, capsys: pytest.CaptureFixture[str], tmp_path: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(str(tmp_path))
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {message}")
    assert help_ in captured.err
    assert "Traceback" not in captured.err


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--debug", "render", "none.json"]) == 2
    assert "Traceback" in capsys.readouterr().err
    assert main(["render", "none.json", "--debug"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Traceback")
    assert "FileNotFoundError" in error
    assert "\nerror: cannot read `none.json`" in error


@pytest.mark.parametrize(
    ("raised", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (ValueError("seven"), 2, "error: a mistake of gradflow, not of your code: ValueError: seven\n"),
        (SystemExit(3), 2, "error: the code of the model ended the program (SystemExit: 3)\n"),
    ],
)
def test_what_a_verb_raises_becomes_a_message_and_a_status(
    raised: BaseException,
    status: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr("gradflow.cli.render.read_report", fail)
    assert main(["render", "saved.json"]) == status
    assert capsys.readouterr().err.startswith(words)


def test_a_full_disk_is_no_bug_of_ours() -> None:
    command = f"{sys.executable} -m gradflow explain detach > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: cannot write to stdout: No space left on device\n"


def test_a_terminal_without_unicode_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr("gradflow.cli.explain.read_page", lambda _: "# Grad-CAM \N{BLACK SCISSORS}\n")
    assert main(["explain", "detach"]) == 0
    assert stream.buffer.getvalue() == b"# Grad-CAM \\u2702\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "argv", [["explain"], ["explain", "detach"], ["render", "r.json"], ["render", "r.json", "--format", "json"]]
)
def test_a_reader_that_leaves_is_no_error(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report(verdict="connected", target=Target(name="fc"), score=Score(description="score"))
    (tmp_path / "r.json").write_text(dumps(report))
    monkeypatch.chdir(tmp_path)
    reading_end, writing_end = os.pipe()
    os.close(reading_end)
    with os.fdopen(writing_end, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(argv) == 141
        monkeypatch.undo()
    assert capsys.readouterr().err == ""
