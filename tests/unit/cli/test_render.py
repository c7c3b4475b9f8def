from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gradflow.audit_report import AuditReport, ParameterGradient
from gradflow.cli import main
from gradflow.graph.elements import Edge, Node
from gradflow.graph.flow_graph import FlowGraph
from gradflow.render.json_report import dumps
from gradflow.report import Report, Score, Target

REPORT = Report(
    verdict="connected",
    target=Target(name="layer4", type_name="Sequential", shape=(1, 4), call_count=1),
    score=Score(description="score[281]", target=281, value=1.5),
    flow=FlowGraph(
        nodes=(
            Node(id="a", kind="operation", name="linear", is_layer=True, depends_on_layer=True, carries_gradient=True,
                 reaches_score=True),
            Node(id="b", kind="operation", name="select", index=1, is_score=True, depends_on_layer=True,
                 carries_gradient=True, reaches_score=True),
        ),
        edges=(Edge(source="a", target="b", kind="value"), Edge(source="b", target="a", kind="gradient")),
        score="b",
        layer=("a",),
    ),
)  # fmt: skip

WEIGHT = ParameterGradient(name="a.weight", module="a", shape=(2, 2), entry_count=4, state="gradient", l2_norm=0.5)


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "r.json"
    path.write_text(dumps(REPORT))
    return path


def test_the_text_is_that_of_the_report_itself(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "r.json"]) == 0
    assert capsys.readouterr().out == str(REPORT)


@pytest.mark.parametrize("suffix", ["svg", "dot", "json", "txt", "md", "html", "sarif"])
def test_a_file_is_the_same_as_of_the_report_itself(saved: Path, suffix: str, tmp_path: Path) -> None:
    assert main(["render", "r.json", "-o", f"again.{suffix}"]) == 0
    REPORT.save(tmp_path / f"direct.{suffix}")
    assert (tmp_path / f"again.{suffix}").read_bytes() == (tmp_path / f"direct.{suffix}").read_bytes()


def test_a_picture_is_drawn(saved: Path, tmp_path: Path) -> None:
    assert main(["render", "r.json", "--output", "g.png"]) == 0
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("format_", ["concise", "json", "markdown"])
def test_a_format_can_be_asked_for(saved: Path, format_: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "r.json", "--format", format_]) == 0
    assert "layer4" in capsys.readouterr().out


def test_a_format_wins_over_the_suffix(saved: Path, tmp_path: Path) -> None:
    assert main(["render", "r.json", "--format", "json", "-o", "out.svg"]) == 0
    assert json.loads((tmp_path / "out.svg").read_text())["verdict"] == "connected"


def test_a_report_can_come_from_stdin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(dumps(REPORT)))
    assert main(["render", "-", "--format", "concise"]) == 0
    assert "layer4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "`bad.json`: not a gradflow report: it is empty"),
        (b"{", "`bad.json`: not a gradflow report: it is not JSON (Expecting property name"),
        (b"\xff\xfe\x00", "`bad.json`: not a gradflow report: it is not text"),
        (b"[" * 100_000, "`bad.json`: not a gradflow report: it is not JSON"),
        (b"[]", "`bad.json`: not a gradflow report: `the whole` should be an object, not []"),
        (b'{"a": 1}', "`bad.json`: not a gradflow report: `schema_version` is missing"),
        (b'{"schema_version": "7.0"}', "`bad.json`: the report has schema version 7.0"),
    ],
)
def test_what_is_no_report_is_told_so(
    content: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.json").write_bytes(content)
    assert main(["render", "bad.json", "-o", "out.svg"]) == 2
    error = capsys.readouterr().err
    # the message is wrapped to the width of the terminal
    assert " ".join(error.split()).startswith(f"error: {message}")
    assert "help: " in error
    assert not (tmp_path / "out.svg").exists()


def test_the_report_of_an_audit_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)  # a text is as wide as where it is shown
    report = AuditReport(score=Score(description="loss"), parameters=(WEIGHT,))
    report.save("audit.json")
    assert main(["render", "audit.json"]) == 0
    assert capsys.readouterr().out == str(report)
    assert main(["render", "audit.json", "-o", "audit.md"]) == 0
    report.save("direct.md")
    assert Path("audit.md").read_bytes() == Path("direct.md").read_bytes()


@pytest.mark.parametrize("options", [["-o", "audit.svg"], ["-o", "audit.html"], ["--format", "sarif"]])
def test_an_audit_is_not_made_into_what_it_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    AuditReport(score=Score(description="loss"), parameters=(WEIGHT,)).save("audit.json")
    assert main(["render", "audit.json", *options]) == 2
    assert "no format of an audit" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["audit.json"]


@pytest.mark.parametrize("option", ["-o=~/g.svg", "--output=~/g.svg"])
def test_an_output_below_home_goes_there(
    saved: Path, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    name, _, value = option.partition("=")
    assert main(["render", "r.json", *([name, value] if name == "-o" else [option])]) == 0
    assert [path.name for path in home.iterdir()] == ["g.svg"]
    assert not (tmp_path / "~").exists()


def test_an_unknown_suffix_is_told_so(saved: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["render", "r.json", "-o", "a.jpeg"]) == 2
    assert "`.jpeg`" in capsys.readouterr().err
    assert not (tmp_path / "a.jpeg").exists()


@pytest.mark.parametrize("options", [[], ["-o", "g.svg"], ["-o", "g.html"], ["--format", "sarif"]])
def test_it_needs_no_torch(saved: Path, options: list[str]) -> None:
    code = (
        "import sys; from gradflow.cli import main; "
        f"status = main(['render', 'r.json', *{options!r}]); print(); print(status, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False"


@pytest.mark.parametrize(
    "name", ["fifo.json", os.devnull, "n" * 300, "a\0b", "~nosuchuser/r.json", "loop.json", "many.json"]
)
def test_what_is_no_file_of_ours_is_one_error(saved: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    if hasattr(os, "mkfifo"):
        os.mkfifo("fifo.json")  # to which nobody writes
    Path("loop.json").symlink_to("loop.json")
    Path("many.json").write_text(f'{{"schema_version": {"9" * 5000}}}', encoding="utf-8")
    assert main(["render", name]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error:")
    assert "bug in gradflow" not in said
