"""The seed of every sweep that tries only some of its cases: others with each commit, the same for the same one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

WITHOUT_GIT = "no commit"


def commit_seed() -> str:
    """The commit of this tree; ``GRADFLOW_SEED`` where that is set, and a fixed text where there is no git."""
    if given := os.environ.get("GRADFLOW_SEED"):
        return given
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except OSError:
        return WITHOUT_GIT
    return done.stdout.strip() or WITHOUT_GIT
