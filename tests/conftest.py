"""Settings for the whole test run."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # one thread each: workers that all use every core slow each other down. Set before torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
