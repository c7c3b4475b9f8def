"""What `gradflow check` takes from start to end beyond importing torch and torchvision, on a model of two layers.

The model's file imports both, as the user's would.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MODEL = """
import torch, torchvision


def build():
    return torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
"""
IMPORTS = "import torch, torchvision"
CHECK = "import sys; from gradflow.cli import main; sys.exit(main(['check', 'tiny.py:build', '--layer', '0']))"


def _cpu_seconds(code: str, directory: str) -> float:
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    message = process.stderr.read().decode() if process.stderr else ""
    if process.returncode:
        raise RuntimeError(f"exit status {process.returncode}: {message.strip()}")
    return usage.ru_utime + usage.ru_stime


def startup_seconds(repeats: int = 7) -> float:
    """Median CPU seconds of a check, less those of the bare imports; alternating, after one round of warming up."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "tiny.py").write_text(MODEL, encoding="utf-8")
        rounds = [(_cpu_seconds(CHECK, directory), _cpu_seconds(IMPORTS, directory)) for _ in range(repeats + 1)][1:]
    return statistics.median(check for check, _ in rounds) - statistics.median(imports for _, imports in rounds)
