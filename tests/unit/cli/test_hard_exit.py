"""A model that ends the process by ``os._exit`` answers nothing, whatever its status: that is said."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gradflow.record.conduct.hard_exit import telling_before_hard_exit

_MODEL = """
    import os
    import torch

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.Linear(4, 3)

        def forward(self, x):
            {ends}
            return self.a(x)
"""


def _asked(tmp_path: Path, ends: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "model.py").write_text(textwrap.dedent(_MODEL.format(ends=ends)))
    command = [sys.executable, "-m", "gradflow", *arguments]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [("check", "--layer", "a"), ("audit",), ("layers",)])
def test_the_end_is_told_with_its_line_and_is_no_clean_bill(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    verb, *options = arguments
    told = _asked(tmp_path, "os._exit(0)", verb, "model.py:Model", "--input-shape", "2,4", *options)
    assert told.returncode == 2
    assert told.stderr.startswith("error: the code of the model ended the program (os._exit(0))\n")
    assert "model.py:11 in forward" in told.stderr
    assert told.stdout == ""


def test_so_is_that_of_a_model_that_the_project_declares(tmp_path: Path) -> None:
    declared = '[tool.gradflow.models.it]\nsource = "model.py:Model"\ninput-shapes = ["2,4"]\nlayers = ["a"]\n'
    (tmp_path / "pyproject.toml").write_text(declared)
    told = _asked(tmp_path, "os._exit(0)", "check")
    assert (told.returncode, "(os._exit(0))" in told.stderr) == (2, True), told.stderr


def test_the_end_of_a_process_that_the_model_forks_is_its_own(tmp_path: Path) -> None:
    forked = "child = os.fork()\n            if not child: os._exit(0)\n            os.waitpid(child, 0)"
    told = _asked(tmp_path, forked, "check", "model.py:Model", "--input-shape", "2,4", "--layer", "a")
    assert (told.returncode, told.stderr) == (0, "")


def test_whoever_has_kept_the_function_ends_the_process_without_a_word_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[int] = []
    told: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)

    def tell(status: int, _: object) -> int:
        told.append(status)
        return 5

    with telling_before_hard_exit(tell):
        kept = os._exit
        kept(3)
    kept(4)
    assert (told, ended) == ([3], [5, 4])
