from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from rich.cells import cell_len

from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.location import SourceSpan
from gradflow.render.terminal import make_console, print_report, render_text
from gradflow.render.terminal_picture import export_terminal_svg
from gradflow.report import Report, Score, Target, Verdict

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
NAMES = (
    "detach", "healthy", "layer_not_called", "two_cuts", "several_layers", "nan", "partial_detach", "unicode_source",
    "missing_source", "not_determined", "zero",
)  # fmt: skip
VERDICTS: tuple[Verdict, ...] = ("connected", "broken", "unused", "zero", "wrong", "nan", "stale", "error")

pytestmark = pytest.mark.usefixtures("in_root")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_every_example_is_tested(examples: ModuleType) -> None:
    assert set(NAMES) == set(examples.EXAMPLES)


@pytest.mark.parametrize("name", NAMES)
def test_looks_as_reviewed(name: str, examples: ModuleType, snapshot_text: Callable[[str, str], None]) -> None:
    snapshot_text(f"terminal/{name}.100.txt", render_text(examples.EXAMPLES[name]()))


@pytest.mark.parametrize("width", [60, 200])
@pytest.mark.parametrize("name", ["detach", "several_layers", "partial_detach", "unicode_source"])
def test_narrow_and_wide(
    name: str, width: int, examples: ModuleType, snapshot_text: Callable[[str, str], None]
) -> None:
    snapshot_text(f"terminal/{name}.{width}.txt", render_text(examples.EXAMPLES[name](), width=width))


@pytest.mark.parametrize("name", ["detach", "unicode_source", "nan"])
def test_ascii_looks_as_reviewed(name: str, examples: ModuleType, snapshot_text: Callable[[str, str], None]) -> None:
    snapshot_text(f"terminal/{name}.100.ascii.txt", render_text(examples.EXAMPLES[name](), ascii_only=True))


@pytest.mark.parametrize("name", ["detach", "healthy", "several_layers"])
def test_colour_looks_as_reviewed(name: str, examples: ModuleType, snapshot_text: Callable[[str, str], None]) -> None:
    snapshot_text(f"terminal/{name}.100.colour.txt", render_text(examples.EXAMPLES[name](), color=True))


@pytest.mark.parametrize("name", NAMES)
def test_colour_adds_nothing_but_colour(name: str, examples: ModuleType) -> None:
    report = examples.EXAMPLES[name]()
    coloured = render_text(report, color=True)
    assert "\x1b[" in coloured
    assert ESCAPE.sub("", coloured) == render_text(report)


@pytest.mark.parametrize("width", [1, 60, 73, 100, 200])
@pytest.mark.parametrize("name", NAMES)
def test_no_line_is_wider_than_the_terminal(name: str, width: int, examples: ModuleType) -> None:
    text = render_text(examples.EXAMPLES[name](), width=width)
    assert max(map(cell_len, text.splitlines())) <= max(width, 60)


@pytest.mark.parametrize("name", NAMES)
def test_ascii_is_ascii_and_of_the_same_shape(name: str, examples: ModuleType) -> None:
    report = examples.EXAMPLES[name]()
    text = render_text(report, ascii_only=True, width=200)
    assert text.isascii()
    assert len(text.splitlines()) == len(render_text(report, width=200).splitlines())


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_has_a_headline_without_a_finding(verdict: Verdict) -> None:
    target = Target(name="fc", call_count=1)
    text = render_text(Report(verdict=verdict, target=target, score=Score(description="loss")))
    assert text.startswith(f"{verdict}: ")
    assert "`fc`" in text
    assert "loss" in text


def test_says_that_a_layer_did_not_run() -> None:
    report = Report(verdict="unused", target=Target(name="aux"), score=Score(description="loss"))
    assert render_text(report) == "unused: `aux` did not run, so loss does not depend on it\n"


def test_cam_and_its_files_are_named(examples: ModuleType) -> None:
    text = render_text(examples.healthy())
    assert "Grad-CAM of `layer4.1.conv2` for class 281: wrote `overlay.png`, `cam.npy`" in text


def test_errors_come_before_warnings_and_infos(examples: ModuleType) -> None:
    error, warning = examples.DETACH, examples.partial_detach().diagnostics[0]
    report = replace(examples.detach(), diagnostics=(*examples.zero().diagnostics, warning, error))
    text = render_text(report)
    assert text.index("error[GF101]") < text.index("warning[GF401]") < text.index("info[GF403]")
    assert text.endswith("verdict: broken (1 error, 1 warning, 1 note)\n")


def test_text_of_a_model_cannot_drive_the_terminal(tmp_path: Path) -> None:
    source = tmp_path / "evil.py"
    source.write_text("x = 1  # \x1b[2J\x07 \u202e reversed \x9b31m\n", encoding="utf-8")
    diagnostic = Diagnostic(
        code="GF101",
        name="detach",
        severity="error",
        message="no gradient reaches `\x1b]0;title\x07`",
        location=SourceSpan(path=str(source), line=1, column=1, end_line=1, end_column=2, function="\x1b[31mf"),
        notes=("\u202enote\r",),
    )
    target = Target(name="\x1b[1mlayer\x9b")
    report = Report(verdict="broken", target=target, score=Score(description="s\x00"), diagnostics=(diagnostic,))
    for text in (render_text(report), render_text(replace(report, diagnostics=()))):
        assert not set(text) & set("\x1b\x07\x9b\u202e\r\x00")
        assert text.count("\n") == len(text.split("\n")) - 1


def test_markup_in_a_message_is_taken_literally() -> None:
    report = Report(verdict="broken", target=Target(name="a[bold]b[/]"), score=Score(description="output[:red]"))
    assert "`a[bold]b[/]`, although output[:red]" in render_text(report)


def test_piped_output_is_plain(examples: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n")
    print_report(examples.detach(), make_console(file))
    file.flush()
    assert file.buffer.getvalue().decode() == render_text(examples.detach(), width=100)


def test_terminal_gets_colour_unless_it_is_refused(examples: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[1;31m" in _printed(examples.detach(), Terminal())
    assert "\x1b[1;31m" not in _printed(examples.detach(), Terminal(), no_color=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "31m" not in _printed(examples.detach(), Terminal())


def test_dumb_terminal_gets_ascii_without_escapes(examples: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "100")
    text = _printed(examples.unicode_source(), Terminal())
    assert text.isascii()
    assert "\x1b" not in text


def test_narrow_encoding_gets_ascii(examples: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    file = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", newline="\n")
    print_report(examples.unicode_source(), make_console(file))
    file.flush()
    assert file.buffer.getvalue().isascii()


def _printed(report: Report, file: Terminal, *, no_color: bool | None = None) -> str:
    print_report(report, make_console(file, no_color=no_color))
    return file.getvalue()


def test_picture_is_the_same_every_time_and_shows_the_report(examples: ModuleType) -> None:
    picture = export_terminal_svg(examples.detach(), "gradflow", command="gradflow check model.pt [x]")
    assert picture == export_terminal_svg(examples.detach(), "gradflow", command="gradflow check model.pt [x]")
    text = re.sub(r"<[^>]+>", "", picture).replace("&#160;", " ")
    assert "error[GF101]" in text
    assert "check model.pt [x]" in text
