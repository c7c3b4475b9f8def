"""Settings for the whole test run."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
OPTIONAL = ("torchvision", "timm", "captum")

if "PYTEST_XDIST_WORKER" in os.environ:
    # one thread each: workers that all use every core slow each other down. Set before torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def _files_that_need(packages: list[str]) -> list[str]:
    needs = re.compile(rf"^(?:import|from) (?:{'|'.join(packages)})\b", re.MULTILINE)
    return [str(path) for path in sorted(HERE.rglob("test_*.py")) if needs.search(path.read_text(encoding="utf-8"))]


# gradflow has to work where these cannot be imported; so do its other tests
missing = [name for name in OPTIONAL if importlib.util.find_spec(name) is None]
collect_ignore = _files_that_need(missing) if missing else []


def pytest_report_header() -> str:
    """Say what is left out: silence would look like a pass."""
    if not missing:
        return ""
    return f"not installed: {', '.join(missing)}; {len(collect_ignore)} files of tests that import them are left out"


@pytest.fixture(autouse=True)
def _no_module_outlives_its_test(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Many tests write a `net.py` of their own and import it: none may be handed to the next."""
    before = set(sys.modules)
    yield
    temporary = str(tmp_path_factory.getbasetemp())
    # only what the test has imported is asked for its file: there are thousands of modules, and of tests
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(temporary):
            del sys.modules[name]
