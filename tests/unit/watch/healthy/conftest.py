"""Runs a small program under gradflow, in this process."""

from __future__ import annotations

import contextlib
import io
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from gradflow.record.program.running import run_program  # noqa: E402
from gradflow.record.program.watching import Watch  # noqa: E402
from gradflow.report import Report  # noqa: E402
from gradflow.watch.explaining import explain_observation  # noqa: E402
from gradflow.watch.observing import observation_of  # noqa: E402

HEAD = "import torch\nfrom torch import nn\ntorch.manual_seed(0)\n"


@pytest.fixture
def explain(tmp_path: Path) -> Callable[[str], Report]:
    """Run a program and explain it."""

    def run(source: str) -> Report:
        path = tmp_path / "program.py"
        path.write_text(HEAD + textwrap.dedent(source))
        watch = Watch()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run_program(watch, str(path), (), is_module=False)
        return explain_observation(observation_of(watch))

    return run
