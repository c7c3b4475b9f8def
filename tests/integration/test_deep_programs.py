"""`gradflow run` of programs whose graphs are too deep for Python to look at: the program ends as it would alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

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
