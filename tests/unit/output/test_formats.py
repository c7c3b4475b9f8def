"""The name of an output says its format, or the command refuses it before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradflow.cli import main
from gradflow.errors import RenderError
from gradflow.output.formats import chosen_format, extensions_of, format_named, said_of_file

NET = """
import torch
from torch import nn
from pathlib import Path

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        Path("it_ran").touch()
        self.a, self.fc = nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.fc(self.a(x).detach())
"""
PROGRAM = NET + "\nmodel = Net()\nmodel(torch.ones(1, 4)).sum().backward()\nprint(model.a.weight.grad)\n"
COMMANDS = {
    "check": ["check", "net.py:Net", "--input-shape", "1,4", "--layer", "a"],
    "audit": ["audit", "net.py:Net", "--input-shape", "1,4"],
    "run": ["run", "prog.py"],
}
BEGINS = {
    "svg": b"<svg",
    "dot": b"// written by gradflow\ndigraph",
    "json": b"{",
    "html": b"<!doctype html>",
    "md": b"###",
    "sarif": b"{",
    "txt": b"# written by gradflow\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "prog.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("suffix", [*BEGINS, "SVG"])
@pytest.mark.parametrize("verb", ["check", "run"])
def test_a_report_has_the_format_of_its_name(folder: Path, verb: str, suffix: str) -> None:
    command = COMMANDS[verb]
    main([command[0], "--output", f"x.{suffix}", *command[1:]])
    assert (folder / f"x.{suffix}").read_bytes().startswith(BEGINS[suffix.lower()])


@pytest.mark.parametrize("suffix", ["json", "md", "txt"])
def test_an_audit_has_the_format_of_its_name(folder: Path, suffix: str) -> None:
    main([*COMMANDS["audit"], "--output", f"x.{suffix}"])
    assert (folder / f"x.{suffix}").read_bytes().startswith(BEGINS[suffix])


@pytest.mark.parametrize(
    ("verb", "suffix"),
    [
        ("check", "jpg"), ("check", "zip"), ("run", "jpg"), ("run", "mp4"), ("audit", "svg"), ("audit", "html"),
        ("audit", "sarif"), ("audit", "pdf"), ("audit", "gif"), ("audit", "DOT"),
    ],
)  # fmt: skip
def test_what_a_command_cannot_make_is_refused_before_anything_runs(
    folder: Path, verb: str, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(folder.iterdir())
    command = COMMANDS[verb]
    assert main([command[0], "--output", f"x.{suffix}", *command[1:]]) == 2
    said = capsys.readouterr()
    assert f"`.{suffix}` is no format of a" in said.err
    assert not said.out
    assert set(folder.iterdir()) == before  # not even the model was built


def test_the_format_that_is_asked_for_wins(folder: Path) -> None:
    main([*COMMANDS["audit"], "--format", "json", "--output", "x.svg"])
    assert (folder / "x.svg").read_bytes().startswith(b"{")


def test_nothing_to_draw_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "healthy.py").write_text("import torch\nx = torch.ones(2, requires_grad=True)\nx.sum().backward()\n")
    assert main(["run", "--output", "x.svg", "healthy.py"]) == 0
    assert "no graph was drawn, because nothing wrong was found with a gradient" in capsys.readouterr().err
    assert not (folder / "x.svg").exists()


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (
            "net = torch.nn.Linear(2, 1)\no = torch.optim.SGD(net.parameters())\nloss = net(torch.ones(2))\no.step()\n",
            "what was found is not about one gradient (GF306)",
        ),
        ("print(torch.ones(2))\n", "there is no gradient to draw"),
        (
            "x = torch.ones(2, requires_grad=True)\nx.sum().backward()\nraise ValueError\n",
            "there is no gradient to draw",
        ),
    ],
)
def test_why_nothing_is_drawn(folder: Path, source: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "program.py").write_text(f"import torch\n{source}")
    main(["run", "--output", "x.svg", "program.py"])
    assert capsys.readouterr().err.rstrip().endswith(f"gradflow: no graph was drawn, because {why}")


CUT = """
body, head = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()])
for _ in range(2):
    loss = head(body(torch.ones(1, 2)).{way}).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    "program",
    [
        CUT.format(way="detach()"),
        CUT.replace("loss.backward", "loss.round().requires_grad_().backward").format(way="detach()"),
        CUT.replace("[*body.parameters(), *head.parameters()]", "body.parameters()").format(way="mul(0)"),
    ],
    ids=["some get none", "none gets any", "zero"],
)
def test_a_finding_about_what_an_optimizer_holds_is_drawn_with_its_path(
    folder: Path, program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "program.py").write_text(f"import torch\n{program}")
    main(["run", "--svg", "x.svg", "program.py"])
    assert "no graph was drawn" not in capsys.readouterr().err
    assert "target parameter" in (folder / "x.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["report", "report.any", "x.py", "x.log", ".hidden", "/dev/stdout"])
def test_a_name_that_stands_for_no_kind_of_file_gets_text(name: str) -> None:
    assert chosen_format(None, Path(name), ("json", "text"), "a report") == "text"


def test_every_ending_stands_for_one_format() -> None:
    formats = ("svg", "dot", "png", "pdf", "json", "html", "markdown", "sarif", "text")
    assert [format_named(Path(f"x{suffix}"), formats, "a report") for suffix in extensions_of(formats)] == list(formats)
    with pytest.raises(RenderError, match="has no extension"):
        format_named(Path("x"), formats, "a report")


def test_text_behind_an_unknown_ending_is_said() -> None:
    assert (
        said_of_file(Path("x.foo"), "text")
        == "wrote x.foo as text: `.foo` stands for no format, and `--format` says one"
    )
    assert said_of_file(Path("x.foo"), "json") == "wrote x.foo"
    assert said_of_file(Path("x.TXT"), "text") == "wrote x.TXT"
    assert said_of_file(Path("report"), "text") == "wrote report"


@pytest.mark.parametrize("verb", ["check", "audit"])
def test_a_command_says_so(folder: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([*COMMANDS[verb], "--output", "x.foo"])
    assert "wrote x.foo as text" in capsys.readouterr().err
