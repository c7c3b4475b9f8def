"""Very long, very wide and very entangled models are checked, and the user's process survives it.

Each runs in a process of its own: what is looked for is a crash of the interpreter (a graph whose every node was
touched from Python overflows the C stack when it is freed).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("scale_models.py")


@pytest.mark.parametrize("name", ["chain", "cut chain", "wide", "ladder"])
@pytest.mark.slow
def test_the_process_survives(name: str) -> None:
    finished = subprocess.run(
        [sys.executable, str(PROGRAM), name],
        capture_output=True,
        text=True,
        timeout=300,  # only against a hang
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert finished.stdout.endswith("alive\n")
