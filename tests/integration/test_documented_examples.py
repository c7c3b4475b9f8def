"""The answers that `docs/explanation/thirteen-examples.md` shows are the ones that gradflow gives.

To write them anew: ``GRADFLOW_UPDATE_SNAPSHOTS=1 pytest tests/integration/test_documented_examples.py``.
"""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("torchvision")

from gradflow.record.program.running import run_program
from gradflow.record.program.watching import Watch
from gradflow.render.terminal import render_text
from gradflow.watch.explaining import explain_observation, summary
from gradflow.watch.observing import observation_of

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "thirteen-examples.md"
ANSWERS = PAGE.parent / "examples"
WIDTH = 80
PROGRAMS = sorted(ROOT.glob("fixtures/programs/example_*.py"))
IS_DOCUMENTED_VERSION = tuple(map(int, metadata.version("torch").split(".")[:2])) >= (2, 14)


@pytest.mark.skipif(not IS_DOCUMENTED_VERSION, reason="torch's own messages and sources differ between versions")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_answer_in_the_documentation_is_the_real_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    watch = Watch()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run_program(watch, str(path), [], is_module=False)
    report = explain_observation(observation_of(watch), program=path.name)
    report = replace(report, environment=replace(report.environment, duration_s=0.0))
    said = render_text(report, width=WIDTH) if report.diagnostics else summary(report) + "\n"
    answer = ANSWERS / f"{path.stem}.txt"
    if os.environ.get("GRADFLOW_UPDATE_SNAPSHOTS"):
        answer.write_text(said, encoding="utf-8")
    assert said == answer.read_text(encoding="utf-8")


def test_every_example_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for path in PROGRAMS:
        assert f"fixtures/programs/{path.name}" in page
        assert f"examples/{path.stem}.txt" in page
