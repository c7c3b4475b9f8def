"""Example reports and snapshots for the tests of renderers."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@pytest.fixture(scope="session")
def examples() -> ModuleType:
    """The module of example reports."""
    spec = importlib.util.spec_from_file_location("example_reports", HERE / "example_reports.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are shown relative to the current directory: make that the root of the repository."""
    monkeypatch.chdir(ROOT)


@pytest.fixture
def snapshot_text() -> Callable[[str, str], None]:
    """Compares a text with a file in tests/snapshots, or writes it; see the README there."""

    def compare(name: str, text: str) -> None:
        path = ROOT / "tests" / "snapshots" / name
        if os.environ.get("GRADFLOW_UPDATE_SNAPSHOTS"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        assert path.is_file(), f"no snapshot {path}; see tests/snapshots/README.md"
        assert text == path.read_bytes().decode()

    return compare
