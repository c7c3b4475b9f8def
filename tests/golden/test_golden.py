"""A sample of the recorded answers, drawn with the commit as seed; all of them: `python -m tests.golden`."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.golden.answer import answers_of, differences
from tests.golden.cases import SOURCES, cases
from tests.golden.store import load
from tests.sampling import commit_seed

ROOT = Path(__file__).parents[2]
SAMPLE = {"models": 14, "programs": 6, "library_programs": 3, "torchvision": 2, "timm": 2}
NEEDS = {"torchvision": "torchvision", "timm": "timm", "library_programs": "captum"}


def missing(source: str) -> str:
    """The package without which a source cannot be asked."""
    needed = NEEDS.get(source, "")
    return needed if needed and importlib.util.find_spec(needed) is None else ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each case runs in a copy of one process")
@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="recorded with torchvision")
@pytest.mark.parametrize("source", [source for source in SAMPLE if load(source)])
def test_a_sample_says_what_is_recorded(source: str) -> None:
    if lacking := missing(source):
        pytest.skip(f"recorded with {lacking}")
    names = sorted(load(source))
    drawn = random.Random(f"{commit_seed()} {source}").sample(names, min(SAMPLE[source], len(names)))
    assert drawn, f"nothing is recorded of {source}"
    command = [sys.executable, "-m", "tests.golden", source, *(part for name in drawn for part in ("--only", name))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert f"{len(drawn)} cases, 0 of them different" in done.stdout


def test_every_source_names_its_cases_once() -> None:
    for source in set(SOURCES) - {"corpus", "torchvision", "timm"}:
        names = [case.name for case in cases(source)]
        assert names
        assert len(names) == len(set(names))


REPORT = {
    "verdict": "broken",
    "layer": {"name": "fc"},
    "diagnostics": [{"severity": "error", "code": "GF101", "location": {"path": "a/net.py", "line": 3}}],
    "gradients": [{"l2_norm": 3.0}, {"l2_norm": 4.0}, {"l2_norm": None}],
    "undetermined": [],
}


def test_a_report_is_reduced_to_its_answer() -> None:
    assert answers_of(REPORT) == {
        "fc": {"verdict": "broken", "findings": ["error GF101 net.py:3"], "norm": 5.0, "is_determined": True}
    }


def test_norms_may_differ_by_rounding_and_by_nothing_else() -> None:
    now = answers_of(REPORT)
    rounded, other, moved = (json.loads(json.dumps(now)) for _ in range(3))
    rounded["fc"]["norm"] = 5.0001
    other["fc"]["norm"] = 5.1
    moved["fc"]["findings"] = ["error GF101 net.py:4"]
    assert differences(now, rounded) == []
    assert differences(now, other) == ["fc: norm: 5.0 -> 5.1"]
    assert differences(now, moved) == ["fc: findings: ['error GF101 net.py:3'] -> ['error GF101 net.py:4']"]
    assert differences(now, {}) == [f"fc: gone: {now['fc']}"]
