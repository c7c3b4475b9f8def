"""What `gradflow check` does with the stages' answers; the stages themselves are replaced."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy
import pytest

from gradflow.cam.result import CamResult
from gradflow.cli import main
from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.errors import LoadError
from gradflow.location import SourceSpan
from gradflow.report import Report, Score, Target

CONNECTED = Report(verdict="connected", target=Target(name="layer4", call_count=1), score=Score(description="score[1]"))
BROKEN = replace(
    CONNECTED,
    verdict="broken",
    target=Target(name="layer3", call_count=1),
    diagnostics=(
        Diagnostic(
            code="GF101",
            name="detach",
            severity="error",
            message="no gradient reaches `layer3` from class 1",
            location=SourceSpan(path="/home/ada/net.py", line=7, column=9),
        ),
    ),
)
CAM = CamResult(
    method="Grad-CAM",
    layer="layer4",
    target=1,
    saliency=numpy.ones((1, 2, 2), numpy.float32),
    normalised=numpy.ones((1, 2, 2), numpy.float32),
    input_size=(8, 8),
)


@dataclass
class Stages:
    """Stands for loading and checking; remembers what it was asked."""

    report: Report | Exception = CONNECTED
    request: Any = None
    arguments: Any = None

    def load_workload(self, request: Any) -> str:
        self.request = request
        return "the workload"

    def check_workload(
        self,
        workload: object,
        layers: Sequence[str],
        parameters: Sequence[str] = (),
        slice_: str = "",
        cam: bool = False,
        verify: bool = False,
        progress: Callable[[str], None] | None = None,
    ) -> Report:
        assert workload == "the workload"
        self.arguments = (list(layers), list(parameters), slice_, cam, verify)
        assert progress is not None
        progress("tracing")
        if isinstance(self.report, Exception):
            raise self.report
        return self.report


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stages:
    fake = Stages()
    load, check = ModuleType("gradflow.load.loading"), ModuleType("gradflow.checking")
    load.load_workload = fake.load_workload  # type: ignore[attr-defined]
    check.check_workload = fake.check_workload  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gradflow.load.loading", load)
    monkeypatch.setitem(sys.modules, "gradflow.checking", check)
    monkeypatch.chdir(tmp_path)
    return fake


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


@pytest.mark.parametrize(
    ("options", "layers", "parameters", "slice_", "cam", "verify"),
    [
        ([], ["auto"], [], "", False, False),
        (["--layer", "a", "--layer", "b*"], ["a", "b*"], [], "", False, False),
        (["--param", "fc.weight"], [], ["fc.weight"], "", False, False),
        (["--param", "fc.weight", "--layer", "fc"], ["fc"], ["fc.weight"], "", False, False),
        (["--layer", "a", "--slice", "[:, 1:]"], ["a"], [], "[:, 1:]", False, False),
        (["--layer", "a", "--slice=-1"], ["a"], [], "-1", False, False),
        (["--layer", "a", "--cam", "cam.png"], ["a"], [], "", True, False),
        (["--layer", "a", "--verify"], ["a"], [], "", False, True),
    ],
)
def test_what_is_asked_of_the_check(
    stages: Stages,
    options: list[str],
    layers: list[str],
    parameters: list[str],
    slice_: str,
    cam: bool,
    verify: bool,
) -> None:
    main(["check", "net.py:Net", *options])
    assert stages.arguments == (layers, parameters, slice_, cam, verify)


def test_every_loading_option_arrives(stages: Stages) -> None:
    options = (
        "--weights DEFAULT --arch net.py:Net --model-arg a=1 --model-arg b=x=y --trust --image c.jpg --input x.pt "
        "--input y.npy --input-shape 1,3 --input-shape 2:int64 --target -1 --select logits --score s.py:f "
        "--device cuda:1 --dtype float64 --seed 7 --train"
    )
    main(["check", "net.py:Net", *options.split()])
    assert asdict(stages.request) == {
        "model": "net.py:Net",
        "weights": "DEFAULT",
        "arch": "net.py:Net",
        "model_args": (("a", "1"), ("b", "x=y")),
        "trust": True,
        "image": "c.jpg",
        "inputs": ("x.pt", "y.npy"),
        "input_shapes": ("1,3", "2:int64"),
        "target": "-1",
        "output": "logits",
        "score": "s.py:f",
        "loss": None,
        "device": "cuda:1",
        "dtype": "float64",
        "seed": 7,
        "mode": "train",
    }


@pytest.mark.parametrize(("options", "mode"), [([], None), (["--train"], "train"), (["--eval"], "eval")])
def test_the_mode_arrives(stages: Stages, options: list[str], mode: str | None) -> None:
    assert main(["check", "m", *options]) == 0
    assert stages.request.mode == mode


def test_two_modes_are_one_too_many(stages: Stages, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "m", "--train", "--eval"]) == 2
    assert "--train" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("report", "status"),
    [(CONNECTED, 0), (BROKEN, 1), (replace(CONNECTED, others=(BROKEN,)), 1), (LoadError("no file"), 2)],
)
def test_exit_status(stages: Stages, report: Report, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    stages.report = report
    assert main(["check", "m", "--layer", "layer4"]) == status
    assert (capsys.readouterr().out == "") is (status == 2)


def test_json_goes_to_the_file_and_nothing_to_stdout(stages: Stages, capsys: pytest.CaptureFixture[str]) -> None:
    stages.report = BROKEN
    assert main(["check", "m", "--format", "json", "--output", "out.json"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "wrote out.json\n"
    assert json.loads(Path("out.json").read_text())["diagnostics"][0]["location"]["path"] == "/home/ada/net.py"


@pytest.mark.parametrize(
    ("name", "start"), [("a.json", "{\n"), ("a.md", "#"), ("a.sarif", "{"), ("a.html", "<!"), ("a.txt", ""), ("a", "")]
)
def test_the_suffix_of_the_output_is_the_format(stages: Stages, name: str, start: str) -> None:
    assert main(["check", "m", "--output", name]) == 0
    text = Path(name).read_text()
    assert text.lower().startswith(start)
    assert ("connected: " in text) or start


@pytest.mark.parametrize("format_", ["text", "concise", "json", "markdown", "html", "sarif"])
def test_every_format_can_be_printed(stages: Stages, format_: str, capsys: pytest.CaptureFixture[str]) -> None:
    stages.report = BROKEN
    assert main(["check", "m", "--format", format_]) == 1
    out = capsys.readouterr().out
    assert "GF101" in out
    assert out.endswith("\n")
    assert not out.endswith("\n\n")


def test_when_the_check_fails_nothing_is_written(stages: Stages, capsys: pytest.CaptureFixture[str]) -> None:
    stages.report = LoadError("there is no file `m`", note="looked in `/home`", hint="did you mean `n`?")
    Path("out.json").write_text("old")
    argv = ["check", "m", "--format", "json", "--output", "out.json", "--svg", "g.svg", "--cam", "c.png", "--force"]
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: there is no file `m`\n  note: looked in `/home`\n  help: did you mean `n`?\n"
    assert names() == ["out.json"]
    assert Path("out.json").read_text() == "old"


def test_pictures_and_maps_are_written(stages: Stages, capsys: pytest.CaptureFixture[str]) -> None:
    stages.report = replace(CONNECTED, cam=CAM)
    argv = ["check", "m", "--svg", "g.svg", "--svg", "g.dot", "--cam", "c.png", "--cam", "c.npy", "--output", "r.json"]
    assert main(argv) == 0
    assert names() == ["c.npy", "c.png", "g.dot", "g.svg", "r.json"]
    assert json.loads(Path("r.json").read_text())["cam"]["files"] == ["c.png", "c.npy"]
    err = capsys.readouterr().err
    assert err.splitlines() == ["wrote c.png", "wrote c.npy", "wrote r.json", "wrote g.svg", "wrote g.dot"]


def test_with_several_layers_each_has_a_map_of_its_own(stages: Stages, capsys: pytest.CaptureFixture[str]) -> None:
    stages.report = replace(CONNECTED, cam=CAM, others=(BROKEN,))
    assert main(["check", "m", "--layer", "layer*", "--svg", "g.svg", "--cam", "c.npy"]) == 1
    assert names() == ["c-layer4.npy", "g.svg"]
    err = capsys.readouterr().err
    assert "no Grad-CAM of `layer3` was written: the path is not connected\n" in err


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        ("broken", "the path is not connected"),
        ("zero", "the gradient is zero everywhere"),
        ("nan", "the gradient is not finite"),
        ("wrong", "the gradient is not the true derivative"),
    ],
)
def test_a_map_that_is_refused_is_not_written(
    stages: Stages, verdict: Any, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stages.report = replace(BROKEN, verdict=verdict)
    assert main(["check", "m", "--cam", "c.png"]) == 1
    captured = capsys.readouterr()
    assert names() == []
    assert captured.err == f"no Grad-CAM was written: {reason}\n"
    assert "GF101" in captured.out


def test_one_file_that_fails_does_not_keep_the_others(
    stages: Stages, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gradflow.errors import RenderError

    def fail(*_: object) -> None:
        raise RenderError("the disk is full")

    monkeypatch.setattr("gradflow.cam.overlay.cam_content", fail)
    stages.report = replace(CONNECTED, cam=CAM)
    assert main(["check", "m", "--cam", "c.png", "--svg", "g.svg"]) == 2
    captured = capsys.readouterr()
    assert names() == ["g.svg"]
    assert "connected" in captured.out
    assert captured.err == "wrote g.svg\nerror: the disk is full\n"


def test_interrupting_writes_nothing(stages: Stages, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(_: object) -> str:
        raise KeyboardInterrupt

    sys.modules["gradflow.load.loading"].load_workload = interrupt  # type: ignore[attr-defined]
    assert main(["check", "m", "--output", "r.json"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert names() == []
