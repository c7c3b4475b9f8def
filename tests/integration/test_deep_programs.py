"""`gradflow run` of programs whose graphs are too deep for Python to look at: the program ends as it would alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.slow

PROGRAM = """
import sys
import torch

weight = torch.nn.Parameter(torch.ones(1))
state = weight * 2
for turn in range({length}):
    state = state + 0.001
    if turn == {cut}:
        state = state.detach() + torch.zeros(1, requires_grad=True)
state.sum().backward()
print("gradient", weight.grad)
sys.exit(7)
"""


def run(folder: Path, length: int, cut: int) -> subprocess.CompletedProcess[str]:
    (folder / "train.py").write_text(PROGRAM.format(length=length, cut=cut))
    return subprocess.run(
        [sys.executable, "-m", "gradflow", "run", "train.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


def test_two_hundred_thousand_operations_end_with_the_programs_own_status(tmp_path: Path) -> None:
    done = run(tmp_path, 200_000, -1)
    assert (done.returncode, done.stdout) == (7, "gradient tensor([2.])\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("length", [200, 20_000])
def test_a_cut_is_told_alike_in_a_short_chain_and_a_long_one(tmp_path: Path, length: int) -> None:
    done = run(tmp_path, length, length // 2)
    assert (done.returncode, done.stdout) == (7, "gradient None\n")
    assert "error[GF101] detach: no gradient reaches `weight`" in done.stderr
    assert "--> train.py:10:17" in done.stderr
    assert "verdict: broken (1 error)" in done.stderr


MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, turns):
        super().__init__()
        self.first, self.turns = nn.Linear(2, 2), turns

    def forward(self, x):
        x = self.first(x).round()
        for _ in range(self.turns):
            x = x + 0.001
        return x

short, long = Net(100), Net(12_000)
"""


@pytest.mark.parametrize("name", ["short", "long"])
def test_a_check_finds_where_a_gradient_dies_in_a_short_chain_and_in_a_long_one(tmp_path: Path, name: str) -> None:
    (tmp_path / "net.py").write_text(MODEL)
    done = subprocess.run(
        [sys.executable, "-m", "gradflow", "check", f"net.py:{name}", "--layer", "first", "--input-shape", "1,2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert "the gradient at `first` is zero: it dies at `round`" in " ".join(done.stdout.split())
    assert done.returncode == 1


@pytest.mark.parametrize("kept", ["root", "state", "middle"])
def test_a_long_graph_that_was_walked_is_freed_without_harm(kept: str) -> None:
    """Whichever of its tensors goes last."""
    program = f"""
import torch
from gradflow.record.backward.walk import walk
state = torch.ones(1, requires_grad=True)
for turn in range(100_000):
    state = state * 1
    if turn == 70_123:
        middle = state
root = state.sum()
assert len(walk(root.grad_fn)) == 100_002
last = {kept}
del root, state, middle
print("first")
del last
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout) == (0, "first\nalive\n")
