"""A program in, the report about it out."""

from __future__ import annotations

import contextlib
import io
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from gradflow.report import Report

Explain = Callable[..., Report]


@pytest.fixture
def explain(tmp_path: Path) -> Explain:
    """Run a program under another name each time, with further files beside it, and explain it."""
    pytest.importorskip("torch")
    from gradflow.record.program.running import run_program
    from gradflow.record.program.watching import Watch
    from gradflow.watch.explaining import explain_observation
    from gradflow.watch.observing import observation_of

    def run(source: str, *, steps: int | None = None, name: str = "program.py") -> Report:
        path = tmp_path / name
        path.write_text("import torch\nfrom torch import nn\n" + textwrap.dedent(source))
        watch = Watch(steps=steps)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run_program(watch, str(path), (), is_module=False)
        return explain_observation(observation_of(watch))

    return run


@pytest.fixture
def said() -> Callable[[Report], list[tuple[str, int | None, str]]]:
    """Of each finding its name, its line and its severity."""

    def short(report: Report) -> list[tuple[str, int | None, str]]:
        return [(one.name, one.location.line if one.location else None, one.severity) for one in report.diagnostics]

    return short
