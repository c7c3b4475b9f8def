"""A pytest plugin for a suite that is none of ours: writes what came of each test, and each warning, into one file.

It is loaded by its file's name from this folder (`-p recorded_outcomes`), so it imports nothing of gradflow's.
"""

from __future__ import annotations

import json
import operator
import os
import random
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

FILE = "RECORDED_OUTCOMES"

outcomes: dict[str, str] = {}
failures: dict[str, str] = {}
warned: dict[str, int] = {}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Many tests draw numbers without a seed, and some fail for a few of them: both runs draw the same."""
    seed = zlib.crc32(item.nodeid.encode())
    random.seed(seed)
    for name, seeding in (("numpy", "random.seed"), ("torch", "manual_seed")):
        if name in sys.modules:
            operator.attrgetter(seeding)(sys.modules[name])(seed)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """The outcome of a test is that of its phases, the first that is not `passed` first."""
    word = report.outcome
    if hasattr(report, "wasxfail"):
        word = "xfailed" if report.skipped else "xpassed"
    elif report.failed and report.when != "call":
        word = "error"
    if outcomes.get(report.nodeid, "passed") == "passed":
        outcomes[report.nodeid] = word
    if report.failed:
        failures[report.nodeid] = report.longreprtext[-2000:]


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be imported has an outcome as well."""
    if not report.passed:
        outcomes[f"collecting {report.nodeid}"] = report.outcome
        failures[f"collecting {report.nodeid}"] = report.longreprtext[-2000:]


def pytest_warning_recorded(warning_message: Any, nodeid: str) -> None:
    """Counted by test and class; texts may hold times and addresses."""
    key = f"{nodeid} {warning_message.category.__name__}"
    warned[key] = warned.get(key, 0) + 1


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Once, at the end."""
    if path := os.environ.get(FILE):
        told = {"outcomes": outcomes, "failures": failures, "warnings": warned, "status": int(exitstatus)}
        Path(path).write_text(json.dumps(told), encoding="utf-8")
