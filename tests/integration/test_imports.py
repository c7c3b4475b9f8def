"""Importing torch takes seconds: what does not need it must start without it."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import gradflow
import gradflow.render

FIXTURES = Path(__file__).parents[2] / "fixtures"
HEAVY = ("torch", "torchvision", "timm", "captum")
RENDERERS = sorted(module.name for module in pkgutil.walk_packages(gradflow.render.__path__, "gradflow.render."))


def heavy_modules_after(program: str) -> list[str]:
    """Which heavy packages a fresh interpreter has loaded after running ``program``."""
    ask = f"{program}\nimport sys\nprint('loaded:', *sorted(sys.modules.keys() & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


def test_the_question_can_be_answered_yes() -> None:
    assert "torch" in heavy_modules_after("import torch")


@pytest.mark.parametrize(
    "program",
    [
        "import gradflow",
        "import gradflow.cli",
        "import gradflow.report",
        "import gradflow.testing, gradflow.pytest_plugin",
        "import gradflow.declared.expectations, gradflow.declared.reading, gradflow.declared.lock_file",
        "import gradflow.diagnose.codes",
        "import gradflow.graph.flow_graph",
        "import " + ", ".join(RENDERERS),
    ],
)
def test_import_is_light(program: str) -> None:
    assert heavy_modules_after(program) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["check", "--help"],
        ["layers", "--help"],
        ["explain", "GF101"],
        ["explain"],
        ["no-such-verb"],
    ],
    ids=" ".join,
)
def test_command_line_answers_without_torch(arguments: list[str]) -> None:
    assert heavy_modules_after(f"from gradflow.cli import main\nmain({arguments!r})") == []


def test_saved_report_is_rendered_without_torch(tmp_path: Path) -> None:
    save = f"""
from gradflow.report import Report, Score, Target
report = Report(verdict="unused", target=Target(name="layer4"), score=Score(description="score[1]"))
report.save({str(tmp_path / "report.json")!r})"""
    render = (
        "from gradflow.cli import main\n"
        f"main(['render', {str(tmp_path / 'report.json')!r}, '-o', {str(tmp_path / 'report.svg')!r}])"
    )
    assert heavy_modules_after(save) == []
    assert heavy_modules_after(render) == []
    assert (tmp_path / "report.svg").stat().st_size > 0


def test_check_stays_callable_after_the_command_line_has_run() -> None:
    """A module of the same name, once imported, must not take the function's place."""
    model = f"{FIXTURES / 'healthy' / 'custom_function_none.py'}:build"
    program = f"""
from gradflow.cli import main
assert main(["check", {model!r}, "--layer", "encoder"]) == 0
import gradflow
assert not isinstance(gradflow.check, type(gradflow)), gradflow.check
"""
    assert "torch" in heavy_modules_after(program)


def test_what_needs_torch_is_loaded_when_it_is_used() -> None:
    assert "check" in gradflow.__all__
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = gradflow.no_such_name
