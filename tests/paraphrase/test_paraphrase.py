"""Some programs in other words, others with each commit; all of them: `python -m tests.paraphrase`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("libcst")

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.paraphrase.collection import fixture_programs
from tests.paraphrase.known import known_differences
from tests.paraphrase.transforms.registry import TRANSFORMS
from tests.sampling import commit_seed

ROOT = Path(__file__).parents[2]
PAIRS = 120
LEFT_OUT = ("GITHUB_", "PYTEST_", "FORCE_COLOR", "CI")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is forked for each program")
def test_gradflow_says_the_same_of_a_program_in_other_words() -> None:
    """Only what `known_differences.txt` lists may differ; the command that is printed tries the same programs again."""
    command = ["-m", "tests.paraphrase", "--sample", str(PAIRS), "--seed", commit_seed()]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1", "NO_COLOR": "1"}
    environment |= {"COLUMNS": "120"}
    environment.pop("GRADFLOW_CORPUS", None)
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"python {' '.join(command)}\n{done.stdout}\n{done.stderr[-3000:]}"
    tried = re.search(r"^│ all +│ +(\d+) ", done.stdout, flags=re.MULTILINE)
    assert tried is not None, done.stdout
    assert int(tried[1]) >= PAIRS // 4, done.stdout


def test_what_is_listed_exists() -> None:
    programs = {each.name for each in fixture_programs(with_long=True)}
    for pair in known_differences():
        program, transform = pair.split()
        assert program in programs
        assert transform in TRANSFORMS
