"""Odd but legal pieces of torch give the same watched as plainly, and no error is invented."""

from __future__ import annotations

import functools
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gradflow
from tests.integration import odd_snippets

KINDS = ("autograd", "hooks", "modes", "modules", "surroundings", "tensors")
for _kind in KINDS:
    importlib.import_module(f"tests.integration.odd_snippets.{_kind}")

WRONG = {
    "autograd.a_version_that_has_moved": ["inplace-modification"],
    "autograd.an_inference_leaf_is_asked_for": ["inference-mode"],
    "autograd.anomaly_detection": ["nan-singularity"],
    "autograd.backward_twice": ["graph-freed"],
}
"""The snippets in which torch is asked for a gradient that cannot be: that is told, as no error where it is caught."""

pytestmark = pytest.mark.filterwarnings("ignore")

PROGRAM = """
import importlib, json, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
from tests.integration import odd_snippets
for kind in sys.argv[2:]:
    importlib.import_module("tests.integration.odd_snippets." + kind)
print(json.dumps({name: odd_snippets.outcome(name) for name in odd_snippets.SNIPPETS}))
"""


@functools.cache
def plainly(name):
    return odd_snippets.outcome(name)


def test_there_are_many_snippets():
    assert len(odd_snippets.SNIPPETS) >= 100


@pytest.mark.parametrize("name", sorted(odd_snippets.SNIPPETS))
def test_a_snippet_gives_the_same_within_an_explanation(name):
    plain = plainly(name)
    with gradflow.explain(quiet=True) as explanation:
        watched = odd_snippets.outcome(name)
    assert watched == plain
    report = explanation.report
    assert not [one.name for one in report.diagnostics if one.severity == "error"]
    if name in WRONG:
        assert [one.name for one in report.diagnostics] == WRONG[name]
    assert not [text for text in report.undetermined if "gradflow" in text]


@pytest.mark.parametrize("kinds", [KINDS[:3], KINDS[3:]], ids="-".join)
def test_all_snippets_give_the_same_in_a_watched_program(kinds, tmp_path):
    program, saved = tmp_path / "program.py", tmp_path / "report.json"
    program.write_text(PROGRAM)
    root = str(Path(odd_snippets.__file__).parents[3])
    command = [sys.executable, "-m", "gradflow", "run", "--output", str(saved), str(program), root, *kinds]
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    watched = json.loads(done.stdout)
    assert watched == {name: list(plainly(name)) for name in odd_snippets.SNIPPETS if name.partition(".")[0] in kinds}
    report = json.loads(saved.read_text())
    assert not [text for text in report["undetermined"] if "gradflow" in text]
