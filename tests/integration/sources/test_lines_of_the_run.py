"""A report shows the lines that ran: also where the file has changed or gone since, and where it never was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.slow

PROGRAM = """
from pathlib import Path
import torch

weight = torch.nn.Parameter(torch.ones(2))
hidden = (weight * 2).detach()
{meanwhile}
(hidden + torch.zeros(2, requires_grad=True)).sum().backward()
print(weight.grad)
"""


def gradflow(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gradflow", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    "meanwhile",
    ["pass", "Path('train.py').unlink()", "Path('train.py').write_text('something = else_()\\n' * 20)"],
    ids=["as it was", "deleted", "rewritten"],
)
def test_the_lines_are_those_of_the_run_and_need_no_file(tmp_path: Path, meanwhile: str) -> None:
    (tmp_path / "train.py").write_text(PROGRAM.format(meanwhile=meanwhile))
    said = gradflow(tmp_path, "run", "train.py").stderr
    assert "hidden = (weight * 2).detach()\n" in said
    assert "^^^^^^^^^^^^^^^^^^^^^ the value goes on, its gradient does not" in said
    (tmp_path / "train.py").write_text(PROGRAM.format(meanwhile=meanwhile))
    gradflow(tmp_path, "run", "--format", "json", "--output", "saved.json", "train.py")
    (tmp_path / "train.py").unlink(missing_ok=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "saved.json").rename(elsewhere / "saved.json")
    rendered = gradflow(elsewhere, "render", "saved.json")
    first = said[said.index(" --> ") :].splitlines()[2:8]
    assert all(line.rstrip() in rendered.stdout for line in first if "|" in line or "│" in line)
    assert "hidden = (weight * 2).detach()" in rendered.stdout
