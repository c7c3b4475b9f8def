"""`layers` and `run` are as wide as the terminal is, as a check is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODEL = """\
from torch import nn


class ALayerWithAVeryLongNameOfItsClass(nn.Linear):
    pass


def build():
    inner = nn.Sequential(nn.Linear(3, 3), ALayerWithAVeryLongNameOfItsClass(3, 3))
    outer = nn.Sequential(nn.Linear(3, 3))
    outer.add_module("a_name_that_is_long_as_well", inner)
    return outer
"""
BROKEN = """\
import torch

weight, other = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3))
optimizer = torch.optim.SGD([weight, other], lr=0.1)
for _ in range(2):
    loss = (weight.detach() * 2 + other).sum()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
"""
HEALTHY = BROKEN.replace(".detach()", "")


def _lines(folder: Path, *arguments: str, columns: int | None) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "TERM")}
    if columns is not None:
        environment["COLUMNS"] = str(columns)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "gradflow", *arguments],
        cwd=folder,
        env={**environment, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return (done.stdout or done.stderr).splitlines()


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_layers(tmp_path: Path, columns: int) -> None:
    (tmp_path / "net.py").write_text(MODEL)
    lines = _lines(tmp_path, "layers", "net.py:build", columns=columns)
    assert max(map(len, lines)) <= columns
    assert "entries" in lines[0] or columns < 80


def test_rows_of_layers_that_are_piped_are_whole(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MODEL)
    lines = _lines(tmp_path, "layers", "net.py:build", columns=None)
    assert any("ALayerWithAVeryLongNameOfItsClass" in line and line.rstrip().endswith("12") for line in lines)
    assert max(map(len, lines[lines.index("") :])) <= 100


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_run(tmp_path: Path, columns: int) -> None:
    (tmp_path / "train.py").write_text(BROKEN)
    lines = _lines(tmp_path, "run", "train.py", columns=columns)
    assert columns - 40 < max(map(len, lines)) <= columns


@pytest.mark.parametrize("columns", [None, 60])
def test_what_is_said_of_a_program_without_a_finding_is_one_line(tmp_path: Path, columns: int | None) -> None:
    (tmp_path / "train.py").write_text(HEALTHY)
    (line,) = _lines(tmp_path, "run", "train.py", columns=columns)
    assert len(line) > 100
