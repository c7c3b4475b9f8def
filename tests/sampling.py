"""What sweeps try of their cases: some, drawn with the commit as seed, in each run of the tests; all in the long run.

Other cases with each commit, the same for the same one: a failure comes again, and a rerun does not make it go away.
"""

from __future__ import annotations

import os
import random
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


def commit_number() -> int:
    """The same seed, for what wants a number below a million."""
    return random.Random(commit_seed()).randrange(10**6)
