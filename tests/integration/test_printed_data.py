"""What comes from a model, a file, a project or the command line drives nothing: every verb, and pytest."""

from __future__ import annotations

import importlib
import io
import json
import re
import sys
import unicodedata
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

from gradflow import testing
from gradflow.cli import main
from gradflow.cli.formats import FORMATS
from gradflow.cli.layer_table import print_layers
from gradflow.layers.table import LayerRow
from gradflow.render.audit_formats import AUDIT_FORMATS

pytest_plugins = ["pytester"]

# see test_pytest_plugin.py
ASSERTIONS = {name: getattr(testing, name) for name in testing.__all__}
for one in ("declared_items", "marks", "report_files", "summary", "telling", "workflow_commands"):
    importlib.import_module(f"gradflow.pytest_support.{one}")

EVIL = "a\x1b[2J\x1b]0;owned\x07\u202e\u200b\u2028\x85\r\n::error file=a::b\n##[error]x `|`<img src=x>"
INPUT = ("--input-shape", "2,5")
NET = f"""
import torch
from torch import nn

EVIL = {EVIL!r}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module(EVIL, nn.Linear(5, 4))
        self.b = nn.Linear(4, 3)

    def forward(self, x):
        return self.b(self._modules[EVIL](x).detach())


class Raises(Net):
    def forward(self, x):
        raise ValueError(EVIL)


def fails():
    raise RuntimeError(EVIL)


Net.__qualname__ = Net.__name__ = EVIL
"""


def assert_drives_nothing(text: str) -> None:
    unseen = {one for one in text if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") and one != "\n"}
    assert not unseen, unseen
    assert "##[" not in text
    assert not [line for line in text.split("\n") if line.lstrip().startswith("::")]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "net", raising=False)
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(project: Path, capsys: pytest.CaptureFixture[str]):
    """Runs a command, looks at what it prints, and gives status, stdout and stderr."""

    def running(*arguments: str) -> tuple[int, str, str]:
        status = main(list(arguments))
        out, err = capsys.readouterr()
        assert_drives_nothing(out)
        assert_drives_nothing(err)
        assert "bug in gradflow" not in err
        return status, out, err

    return running


@pytest.mark.parametrize("format_", FORMATS)
def test_check(run, format_: str) -> None:
    status, out, _ = run("check", "net.py:Net", "--layer", EVIL, "--layer", "b", *INPUT, "--format", format_)
    assert status == 1
    if format_ == "json":
        assert json.loads(out)["layer"]["name"] == EVIL
    elif format_ == "html":
        assert "<img src=x>" not in out
    else:
        assert "u202e" in out


@pytest.mark.parametrize("format_", AUDIT_FORMATS)
def test_audit(run, format_: str) -> None:
    status, out, _ = run("audit", "net.py:Net", *INPUT, "--format", format_)
    assert status == 1
    if format_ == "json":
        assert f"{EVIL}.weight" in json.loads(out)["unused"]
    elif format_ != "concise":  # which only counts them
        assert "u202e" in out


def test_layers(run) -> None:
    status, out, _ = run("layers", "net.py:Net", *INPUT)
    assert status == 0
    # a name that is longer than the line is cut short
    assert r"a\x1b[2J\x1b]0;owned\x07\u202e\u" in out


def test_a_model_from_a_file(run) -> None:
    model = nn.Sequential()
    model.add_module(EVIL, nn.Linear(5, 4))
    model.add_module("b", nn.Linear(4, 3))
    torch.save(model, "m.pt")
    for verb in ("layers", "audit", "check"):
        assert run(verb, "m.pt", *INPUT)[0] == 0


def test_layers_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is broken just before its colons, and colours stand between them and the beginning of the line."""

    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for length in range(1, 45):
        row = LayerRow(
            name=f"{'a' * length}::error::b\x1b[8m",
            type_name="Linear",
            output_shape=(2, 4),
            role="hidden",
            parameter_count=4,
            call_count=1,
            is_trainable=True,
        )
        print_layers([row], auto=row.name, reason="why")
    shown = terminal.getvalue()
    assert "\x1b[1;32m" in shown
    assert "\x1b[8m" not in shown
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown.split("\n")]
    assert not [line for line in lines if line.lstrip().startswith("::")]
    assert [line for line in lines if line.startswith("\\x3a:error")]


def test_render_and_the_files_that_are_written(run, project: Path) -> None:
    run("check", "net.py:Net", "--layer", EVIL, *INPUT, "--output", "r.json")
    for format_ in FORMATS:
        assert run("render", "r.json", "--format", format_)[0] == 0
    for suffix in ("svg", "dot", "html", "md", "txt", "sarif", "json"):
        run("render", "r.json", "-o", f"out.{suffix}")
        assert_drives_nothing((project / f"out.{suffix}").read_text(encoding="utf-8").replace("\t", " "))
    ElementTree.parse(project / "out.svg")
    assert json.loads((project / "out.json").read_text(encoding="utf-8"))["layer"]["name"] == EVIL


def test_a_name_of_a_file(run, project: Path) -> None:
    name = "r\x1b[2J\n::error::x.json"
    _, _, err = run("check", "net.py:Net", "--layer", "b", *INPUT, "--output", name)
    assert "r\\x1b[2J\\n::error::x.json" in err
    assert (project / name).exists()
    assert run("render", name)[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        (EVIL,),
        ("explain", EVIL),
        ("render", EVIL),
        ("run", EVIL),
        ("layers", EVIL),
        ("check", f"net.py:{EVIL}", "--layer", "b"),
        ("check", f"{EVIL}.pt", "--layer", "b"),
        ("check", "net.py:fails", "--layer", "b"),
        ("check", "net.py:fails", "--layer", "b", "--debug"),
        ("check", "net.py:Raises", "--layer", "b", *INPUT),
        ("check", "net.py:Net", "--layer", f"no{EVIL}", *INPUT),
        ("check", "net.py:Net", "--param", EVIL, *INPUT),
        ("check", "net.py:Net", "--slice", EVIL, *INPUT),
        ("check", "net.py:Net", "--format", EVIL),
        ("check", "net.py:Net", f"--{EVIL}"),
        ("check", "net.py:Net", "--target", EVIL, *INPUT),
        ("check", "net.py:Net", "--score", f"net.py:{EVIL}", *INPUT),
        ("check", "net.py:Net", "--input", EVIL),
        ("check", "net.py:Net", "--image", EVIL),
        ("check", "net.py:Net", "--input-shape", EVIL),
        ("check", "net.py:Net", "--device", EVIL, *INPUT),
        ("audit", "net.py:Net", "--loss", EVIL, *INPUT),
    ],
    ids=lambda arguments: " ".join(arguments).replace(EVIL, "EVIL"),
)
def test_what_cannot_be_done(run, arguments: tuple[str, ...]) -> None:
    status, _, err = run(*arguments)
    assert status == 2
    assert sum(line.startswith("error:") for line in err.splitlines()) == 1


def test_what_a_project_declares(run, project: Path) -> None:
    declared = f'[tool.gradflow.models.{json.dumps(EVIL)}]\nsource = "net.py:Net"\ninput-shapes = ["2,5"]\n'
    (project / "pyproject.toml").write_text(f"{declared}layers = [{json.dumps(EVIL)}]\n", encoding="utf-8")
    status, out, _ = run("check")
    assert status == 1
    assert "NOT MET" in out
    (project / "pyproject.toml").write_text(f"{declared}layers = [{json.dumps('no' + EVIL)}]\n", encoding="utf-8")
    assert run("check")[0] == 2


@pytest.mark.parametrize("format_", FORMATS)
def test_run(run, project: Path, format_: str) -> None:
    (project / "train.py").write_text(
        "import torch\nfrom net import EVIL, Net\n\nnet = Net()\n"
        "net(torch.ones(2, 5)).sum().backward()\nnet._modules[EVIL].weight.grad.sum()\n"
    )
    _, _, err = run("run", "--format", format_, "train.py")
    assert "detach" in err


TESTS = """
import pytest
import torch
from net import EVIL, Net

X = torch.ones(2, 5)

def test_cut(gradflow):
    gradflow.assert_connected(Net(), EVIL, X)

def test_nowhere(gradflow):
    gradflow.assert_connected(Net(), "no" + EVIL, X)

def test_way(gradflow):
    gradflow.assert_disconnected(Net(), "b", X)
"""


def test_pytest(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ASSERTIONS.items():
        monkeypatch.setattr(testing, name, value)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path))
    pytester.makepyfile(net=NET, test_it=TESTS)
    names = [json.dumps(text) for text in (EVIL, f"no{EVIL}")]
    (pytester.path / "pyproject.toml").write_text(
        "".join(
            f'[tool.gradflow.models.{name}]\nsource = "net.py:Net"\ninput-shapes = ["2,5"]\nlayers = [{name}]\n'
            for name in names
        ),
        encoding="utf-8",
    )
    monkeypatch.delitem(sys.modules, "net", raising=False)
    result = pytester.runpytest_inprocess(
        "-v", "--gradflow-report", "out", "--junitxml", "j.xml", "-p", "no:cacheprovider"
    )
    result.assert_outcomes(failed=5)
    text = "\n".join(result.outlines)
    commands = [line for line in text.split("\n") if line.startswith("::")]
    assert commands
    assert all(
        re.match(r"::error file=net\.py,line=\d+,title=gradflow GF101 detach,col=\d+::no gradient", one)
        for one in commands
    )
    # pytest prints the source of a test that failed, which is plain here, and what gradflow says of it
    assert_drives_nothing("\n".join(line for line in text.split("\n") if line not in commands))
    assert_drives_nothing("\n".join(one.replace("::error", "error") for one in commands))
    summary = (pytester.path / "out" / "summary.md").read_text(encoding="utf-8")
    assert_drives_nothing(summary)
    assert "<img" not in re.sub(r"`[^`]*`", "", summary)
    cases = list(ElementTree.parse(pytester.path / "j.xml").iter("testcase"))
    assert len(cases) == 5
