"""``gradflow.install_excepthook()`` in whole programs: the traceback first, then the explanation, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

BROKEN = """
import torch
layer = torch.nn.Linear(2, 2)
kept = layer(torch.ones(1, 2)).detach()
kept.sum().backward()
"""


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    program = folder / "program.py"
    program.write_text("import gradflow\n" + text)
    return subprocess.run(
        [sys.executable, "-W", "ignore", str(program)], capture_output=True, text=True, timeout=120, check=False
    )


def test_the_explanation_follows_the_traceback(tmp_path: Path) -> None:
    done = run(tmp_path, f"gradflow.install_excepthook()\n{BROKEN}")
    shown, _, explained = done.stderr.partition("error[GF101] detach: `kept.sum()` has no history")
    assert done.returncode == 1
    assert shown.startswith("Traceback (most recent call last):")
    assert shown.rstrip().endswith("does not require grad and does not have a grad_fn")
    assert "program.py:6:8" in explained


def test_what_a_block_has_explained_is_not_explained_again(tmp_path: Path) -> None:
    text = "\n".join(f"    {line}" for line in BROKEN.splitlines())
    done = run(tmp_path, f"gradflow.install_excepthook()\nwith gradflow.explain():\n{text}\n")
    assert done.stderr.count("error[GF101]") == 1


def test_other_exceptions_and_healthy_programs_are_left_alone(tmp_path: Path) -> None:
    alone = run(tmp_path, "import torch\n1 / 0\n")
    hooked = run(tmp_path, "gradflow.install_excepthook(); import torch\n1 / 0\n")
    assert (hooked.returncode, hooked.stdout) == (alone.returncode, alone.stdout)
    assert hooked.stderr.splitlines()[-1] == alone.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert "gradflow:" not in hooked.stderr
    assert run(tmp_path, "gradflow.install_excepthook()\n").stderr == ""


def test_installing_imports_no_torch_and_can_be_undone(tmp_path: Path) -> None:
    text = """
import sys
gradflow.install_excepthook(); gradflow.install_excepthook()
assert sys.excepthook is not sys.__excepthook__
gradflow.uninstall_excepthook()
assert sys.excepthook is sys.__excepthook__
assert "torch" not in sys.modules
"""
    assert run(tmp_path, text).returncode == 0


def test_hooks_around_it_still_run(tmp_path: Path) -> None:
    text = f"""
import sys
sys.excepthook = lambda *found: print("mine:", found[0].__name__)
gradflow.install_excepthook()
inner = sys.excepthook
sys.excepthook = lambda *found: (print("outer"), inner(*found))
{BROKEN}"""
    done = run(tmp_path, text)
    assert done.stdout.split() == ["outer", "mine:", "RuntimeError"]
    assert "error[GF101]" in done.stderr


def test_taken_away_below_another_hook_it_is_silent(tmp_path: Path) -> None:
    text = f"""
import sys
gradflow.install_excepthook()
inner = sys.excepthook
sys.excepthook = lambda *found: inner(*found)
gradflow.uninstall_excepthook()
{BROKEN}"""
    done = run(tmp_path, text)
    assert done.stderr.startswith("Traceback")
    assert "GF101" not in done.stderr


def test_a_mistake_of_gradflows_own_hides_nothing(tmp_path: Path) -> None:
    text = f"""
gradflow.install_excepthook()
import gradflow.watch.post_mortem.examine as examine
def broken(error): raise LookupError("inside")
examine.report_about = broken
{BROKEN}"""
    done = run(tmp_path, text)
    assert done.returncode == 1
    assert "does not have a grad_fn" in done.stderr
    assert done.stderr.splitlines()[-1] == "gradflow: could not explain this: LookupError: inside"
