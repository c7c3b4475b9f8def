"""The program as a person runs it: a file of their own, the real engine, the files that come out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import numpy
import pytest
import torch

from gradflow.cli import main
from gradflow.render.json_report import report_from_json, report_to_json

NET = '''
import torch
from torch import nn


class Net(nn.Module):
    """A small classifier; broken=True cuts the path."""

    def __init__(self, broken=False, classes=3):
        super().__init__()
        self.broken = broken
        self.conv = nn.Conv2d(3, 4, 3)
        self.neck = nn.Conv2d(4, 4, 3)
        self.fc = nn.Linear(4, classes)

    def forward(self, x):
        x = self.conv(x).relu()
        if self.broken:
            x = x.detach()
        return self.fc(self.neck(x).relu().mean((2, 3)))


class Raises(Net):
    def forward(self, x):
        raise ValueError("this input is no good")


class Leaves(Net):
    def forward(self, x):
        raise SystemExit(3)


def switches_grad_off():
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    return Net()


def images():
    torch.manual_seed(1)
    return torch.rand(1, 3, 12, 12)


def score(output):
    return output[0, 2]
'''
CUT_LINE = 1 + NET.splitlines().index("            x = x.detach()")
SCHEMA = json.loads(Path(__file__).parents[2].joinpath("docs/reference/report.schema.json").read_text())
HEALTHY = ["check", "net.py:Net", "--input", "net.py:images"]
BROKEN = [*HEALTHY, "--model-arg", "broken=True"]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files() -> list[str]:
    return sorted(path.name for path in Path().iterdir() if path.suffix not in (".py", "") and path.is_file())


def test_a_healthy_model_is_connected(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*HEALTHY, "--layer", "conv"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("connected: a gradient reaches `conv`")
    assert "\x1b" not in out


def test_a_broken_model_is_told_its_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BROKEN, "--layer", "conv"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("error[GF101] detach: no gradient reaches `conv`")
    assert f"net.py:{CUT_LINE}:17 in Net.forward" in out


def test_the_json_obeys_the_schema_and_names_the_absolute_path(project: Path) -> None:
    assert main([*BROKEN, "--layer", "conv", "--format", "json", "--output", "out.json"]) == 1
    data = json.loads(Path("out.json").read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(data)
    location = data["diagnostics"][0]["location"]
    assert (location["path"], location["line"]) == (str(project / "net.py"), CUT_LINE)
    assert data["diagnostics"][0]["repair"]["verified"] is True


@pytest.mark.parametrize("argv", [HEALTHY, BROKEN])
def test_a_saved_report_says_and_draws_the_same(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    layers = ["--layer", "conv", "--layer", "fc"]
    main([*argv, *layers, "--output", "r.json", "--svg", "direct.dot", "--svg", "direct.svg"])
    capsys.readouterr()
    data = json.loads(Path("r.json").read_text())
    assert report_to_json(report_from_json(data)) == data
    assert main(["render", "r.json", "-o", "again.dot"]) == 0
    assert main(["render", "r.json", "-o", "again.svg"]) == 0
    assert Path("again.dot").read_bytes() == Path("direct.dot").read_bytes()
    assert Path("again.svg").read_bytes() == Path("direct.svg").read_bytes()


def test_a_saved_report_has_the_same_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    main([*BROKEN, "--layer", "conv", "--output", "r.json"])
    saved = report_from_json(json.loads(Path("r.json").read_text()))
    main(["render", "r.json"])
    assert capsys.readouterr().out == str(saved)
    assert "error[GF101] detach" in str(saved)


def test_a_map_is_written_where_the_path_is_connected(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*HEALTHY, "--layer", "neck", "--cam", "cam.png", "--cam", "cam.npy", "--output", "r.json"]) == 0
    assert Path("cam.png").read_bytes().startswith(b"\x89PNG")
    saliency = numpy.load("cam.npy")
    summary = json.loads(Path("r.json").read_text())["cam"]
    assert list(saliency.shape) == summary["shape"] == [1, 8, 8]
    assert summary["files"] == ["cam.png", "cam.npy"]
    assert summary["max"] == pytest.approx(float(saliency.max()))


def test_a_map_is_refused_where_the_path_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BROKEN, "--layer", "conv", "--cam", "cam.png"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "no Grad-CAM was written: the path is not connected\n"
    assert "error[GF101]" in captured.out
    assert files() == []


def test_of_several_layers_only_the_connected_get_a_map(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BROKEN, "--layer", "conv", "--layer", "neck", "--cam", "cam.npy", "--output", "r.json"]) == 1
    assert files() == ["cam-neck.npy", "r.json"]
    assert "no Grad-CAM of `conv` was written" in capsys.readouterr().err
    rows = json.loads(Path("r.json").read_text())["layers"]
    assert {row["layer"]["name"]: row["verdict"] for row in rows} == {"conv": "broken", "neck": "connected"}


def test_a_picture_is_well_formed() -> None:
    assert main([*HEALTHY, "--layer", "conv", "--svg", "g.svg", "--svg", "g.png", "--svg", "g.pdf"]) == 0
    assert ElementTree.parse("g.svg").getroot().tag.endswith("svg")
    assert Path("g.png").read_bytes().startswith(b"\x89PNG")
    assert Path("g.pdf").read_bytes().startswith(b"%PDF")


def test_without_a_layer_one_is_chosen_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(HEALTHY) == 0
    shown = capsys.readouterr().out
    assert "layer: `neck`" in shown
    last = " ".join(shown.split())[-80:]
    assert "not looked at" in last
    assert '`--layer "*"`' in last


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--param", "conv.weight"], "parameter `conv.weight`"),
        (["--layer", "conv", "--slice", "[:, 1:]"], "`conv[:, 1:]`"),
        (["--layer", "conv", "--target", "1"], "score[1]"),
        (["--layer", "conv", "--target", "top1"], "score["),
        (["--layer", "conv", "--score", "net.py:score"], "connected: a gradient reaches `conv`"),
        (["--layer", "conv", "--model-arg", "classes=7", "--target", "6"], "score[6]"),
        (["--layer", "conv", "--train"], "train mode"),
    ],
)
def test_what_can_be_asked_for(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*HEALTHY, *options]) == 0
    assert words in capsys.readouterr().out


def test_the_dtype_can_be_asked_for() -> None:
    assert main([*HEALTHY, "--layer", "conv", "--dtype", "float64", "--output", "r.json"]) == 0
    assert json.loads(Path("r.json").read_text())["environment"]["dtype"] == "float64"


def test_concise_is_one_line_that_editors_understand(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BROKEN, "--layer", "conv", "--format", "concise"]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"net.py:{CUT_LINE}:17: error GF101 detach: ")
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([*HEALTHY, "--layer", "covn"], ["error: the model has no layer `covn`", "closest: `conv`"]),
        ([*HEALTHY, "--layer", "zz*"], ["error: no layer matches `zz*`"]),
        ([*HEALTHY, "--param", "conv"], ["error: the model has no parameter `conv`", "use `--layer conv`"]),
        ([*HEALTHY, "--layer", "conv", "--slice", "[:, a]"], ["error: `[:, a]` is not a slice"]),
        ([*HEALTHY, "--layer", "conv", "--target", "99"], ["error: there is no class 99", "0 to 2"]),
        ([*HEALTHY, "--layer", "conv", "--select", "nope"], ["error: `output` has no `nope`"]),
        ([*HEALTHY, "--layer", "conv", "--score", "net.py:nope"], ["error: `net.py` has no `nope`"]),
        ([*HEALTHY, "--layer", "conv", "--dtype", "float31"], ["error: ", "float32"]),
        ([*HEALTHY, "--layer", "conv", "--device", "warp"], ["error: the device `warp` cannot be used"]),
        (["check", "none.py:Net"], ["error: there is no file `none.py`", "did you mean `net.py`"]),
        (["check", "net.py:Nett"], ["error: `net.py` has no `Nett`", "did you mean `Net`"]),
        (["check", "net.py"], ["error: `net.py` does not say which object", "`net.py:Net`"]),
        (["check", "."], ["error: `.` is a folder, not a model"]),
        (["check", "none.pt", "--layer", "fc"], ["error: ", "none.pt"]),
        (["check", "net.py:Net", "--input", "none.pt"], ["error: there is no file `none.pt`"]),
        (["check", "net.py:Net", "--image", "none.jpg"], ["error: there is no file `none.jpg`"]),
        (
            ["check", "net.py:Net", "--layer", "conv", "--input-shape", "1,5,8,8"],
            ["error: the model raised RuntimeError", "net.py:"],
        ),
        (["check", "net.py:Net", "--model-arg", "k=1"], ["error: `net.py:Net` cannot be called", "broken=False"]),
        (["layers", "net.py:Raises"], ["error: the model raised ValueError"]),
    ],
)
def test_a_request_that_cannot_be_carried_out(
    argv: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--format", "json", "--output", "out.json"] if argv[0] == "check" else []
    assert main([*argv, *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    for word in words:
        assert word in " ".join(captured.err.split())  # wrapped to the width of the terminal
    assert "Traceback" not in captured.err
    assert "bug in gradflow" not in captured.err
    assert files() == []


def test_a_model_that_raises_is_quoted_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = 1 + NET.splitlines().index('        raise ValueError("this input is no good")')
    argv = ["check", "net.py:Raises", "--input", "net.py:images", "--layer", "conv"]
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert "the model raised ValueError" in error
    assert "this input is no good" in error
    assert f"its forward at net.py:{line}:" in error
    assert "Traceback" not in error
    assert main([*argv, "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_model_that_ends_the_program_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "net.py:Leaves", "--input", "net.py:images", "--layer", "conv"]) == 2
    error = capsys.readouterr().err
    assert "SystemExit" in error
    assert "at net.py:" in error


def test_what_the_users_file_changes_in_torch_does_not_stay() -> None:
    assert main(["check", "net.py:switches_grad_off", "--layer", "conv"]) in (0, 1)
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32


def test_layers_are_listed_with_the_automatic_choice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layers", "net.py:Net", "--input", "net.py:images"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["layer", "class", "output", "shape", "role", "entries"]
    assert lines[1].split() == ["conv", "Conv2d", "[1,", "4,", "10,", "10]", "features", "112"]
    assert lines[2].startswith("neck <- auto")
    assert lines[3].split()[-2:] == ["classifier", "15"]
    assert any(line.startswith("`--layer auto` takes `neck`: ") for line in lines)


def test_layers_in_a_plain_list_are_told(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    with (project / "net.py").open("a") as file:
        file.write("\n\ndef hidden():\n    net = Net()\n    net.more = [nn.Linear(2, 2)]\n    return net\n")
    assert main(["layers", "net.py:hidden", "--input", "net.py:images"]) == 0
    assert "not listed: the layers in `self.more` of the model, which are not registered" in capsys.readouterr().out


def test_frozen_parameters_are_marked(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    with (project / "net.py").open("a") as file:
        file.write("\n\ndef frozen():\n    return Net().requires_grad_(False)\n")
    assert main(["layers", "net.py:frozen", "--input", "net.py:images"]) == 0
    assert "frozen 112" in capsys.readouterr().out


@pytest.mark.parametrize("columns", ["60", "200"])
def test_as_a_process_of_its_own(columns: str) -> None:
    command = [sys.executable, "-m", "gradflow", *BROKEN, "--layer", "conv"]
    environment = {**os.environ, "COLUMNS": columns, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert done.stderr == ""
    assert "error[GF101]" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= int(columns)
