"""Some hundred mutated files, others with each commit; thousands: `python -m tests.fuzz --count 10000`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.sampling import commit_number

ROOT = Path(__file__).parents[2]
CASES_OF_EACH_KIND = 18
LEFT_OUT = ("GITHUB_", "PYTEST_", "FORCE_COLOR", "CI")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is forked for each batch of files")
def test_no_mutated_file_runs_or_breaks_anything(tmp_path):
    """Its seed is printed with what goes wrong: the same command makes the same files again."""
    seed = commit_number()
    command = ["-m", "tests.fuzz", "--count", str(CASES_OF_EACH_KIND), "--seed", str(seed), "--out", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"python {' '.join(command)}\n{done.stdout}\n{done.stderr[-3000:]}"
