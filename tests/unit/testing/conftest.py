"""The models of the assertions' tests, and snapshots of what the assertions say."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
# what differs between versions of torch: sizes of gradients, shares, times
_NUMBERS = [
    (r"L2 norm +[\d.e+-]+", "L2 norm N"),
    (r"-?[\d.e-]+%", "P%"),
    (r"[\d.]+ s\b", "T s"),
    (r"\d+ forward passes", "F forward passes"),
    (r"[▏▎▍▌▋▊▉█]+", "BAR"),
    (r"(?m)^(\S+ +\d+ +\d+) +[\d.e+-]+  BAR", r"\1  N  BAR"),
    (r"\b\d+(\.\d+)?e[+-]\d+|\b0\.\d+", "N"),
    (r"score\[\d\]", "score[C]"),
]


@pytest.fixture(scope="session")
def models() -> ModuleType:
    """The module of models."""
    spec = importlib.util.spec_from_file_location("suite_models", HERE / "suite_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def snapshot_message(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, AssertionError], None]:
    """Compares an assertion's whole message with a file in tests/snapshots; see the README there."""
    monkeypatch.chdir(ROOT)

    def compare(name: str, error: AssertionError) -> None:
        text = str(error).rstrip() + "\n"
        for pattern, placeholder in _NUMBERS:
            text = re.sub(pattern, placeholder, text)
        path = ROOT / "tests" / "snapshots" / "testing" / f"{name}.txt"
        if os.environ.get("GRADFLOW_UPDATE_SNAPSHOTS"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        assert path.is_file(), f"no snapshot {path}; see tests/snapshots/README.md"
        assert text == path.read_bytes().decode()

    return compare
