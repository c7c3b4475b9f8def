"""`gradflow run`: the program behaves as without it, and what is found goes where it was asked to go."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

PROGRAM = """
import atexit, sys
import torch
from torch import nn

atexit.register(lambda: print("bye"))
print(__name__, sys.argv[1:], sys.argv[0], __file__)
layer = nn.Linear(2, 2)
loss = layer(torch.ones(1, 2)).{how}.sum()
loss.backward()
sys.exit(3)
"""


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("how", ["relu()", "detach()"])
def test_output_and_status_are_the_programs_own(tmp_path: Path, how: str) -> None:
    (tmp_path / "train.py").write_text(PROGRAM.replace("{how}", how))
    alone = python(tmp_path, "train.py", "--epochs", "2")
    watched = python(tmp_path, "-m", "gradflow", "run", "train.py", "--epochs", "2")
    assert watched.stdout == alone.stdout
    assert watched.returncode == alone.returncode
    if alone.stderr:
        # the same traceback to the letter, then the explanation
        assert watched.stderr.startswith(alone.stderr)
        assert "error[GF101] detach" in watched.stderr


@pytest.mark.parametrize(("status", "word"), [(0, "no fault found: "), (3, "")])
def test_a_healthy_program_gets_one_line(tmp_path: Path, status: int, word: str) -> None:
    """What the program itself calls a failure, as a run of tests may, is not called free of faults."""
    (tmp_path / "train.py").write_text(PROGRAM.replace("{how}", "relu()").replace("exit(3)", f"exit({status})"))
    watched = python(tmp_path, "-m", "gradflow", "run", "train.py")
    seen = "1 backward pass brought gradients to 2 leaves"
    watched_text = "10 operations, 1 forward pass, 1 backward pass"
    assert watched.stderr.strip().splitlines() == [f"gradflow: {word}{seen} ({watched_text})"]


def test_strict_turns_a_silent_fault_into_a_failure(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import torch\nw = torch.ones(2, requires_grad=True)\nv = torch.ones(2, requires_grad=True)\n"
        "(w.detach() * v).sum().backward()\nprint(w.grad)\n"
    )
    assert python(tmp_path, "-m", "gradflow", "run", "train.py").returncode == 0
    assert python(tmp_path, "-m", "gradflow", "run", "--strict", "train.py").returncode == 1


def test_a_module_runs_and_the_report_is_written(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "job.py").write_text(PROGRAM.replace("{how}", "detach()"))
    watched = python(tmp_path, "-m", "gradflow", "run", "-m", "--format", "json", "--output", "r.json", "package.job")
    assert watched.returncode == 1
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["verdict"] == "broken"
    assert report["diagnostics"][0]["name"] == "detach"
    assert report["diagnostics"][0]["location"]["path"].endswith("job.py")


def test_after_stepping_aside_nothing_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import torch\nfrom torch import nn\nlayer = nn.Linear(2, 2)\nfor _ in range(5):\n"
        "    layer(torch.ones(1, 2)).sum().backward()\n    layer.zero_grad()\n"
        "print(torch._C._len_torch_function_stack())\n"
    )
    watched = python(tmp_path, "-m", "gradflow", "run", "--steps", "2", "train.py")
    assert watched.stdout == "0\n"
    assert "2 backward passes" in watched.stderr
    assert "stepped aside after 2 backward passes" in watched.stderr


def test_a_missing_program_is_a_usage_error(tmp_path: Path) -> None:
    watched = python(tmp_path, "-m", "gradflow", "run", "nowhere.py")
    assert watched.returncode == 2
    assert "there is no program `nowhere.py`" in watched.stderr
