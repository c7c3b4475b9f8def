"""`gradflow run` on whole programs, broken and healthy: what it names, and that it leaves them alone.

Each file in ``fixtures/programs`` says in its first line what is expected, and marks the line(s) that are to blame.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

pytest.importorskip("torch")

from gradflow.record.program.running import run_program
from gradflow.record.program.watching import Watch
from gradflow.report import Report
from gradflow.watch.explaining import explain_observation
from gradflow.watch.observing import observation_of

PROGRAMS = sorted((Path(__file__).parents[2] / "fixtures" / "programs").glob("*.py"))


def explain(path: Path, *arguments: str) -> tuple[Report, int, str]:
    """The report, the exit status and what the program printed."""
    watch = Watch()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        status = run_program(watch, str(path), arguments, is_module=False)
    return explain_observation(observation_of(watch), program=path.name), status, printed.getvalue()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_cause_of_each_program_is_named(path: Path) -> None:
    text = path.read_text()
    if "torchvision" in text:
        pytest.importorskip("torchvision")
    name, *verdict = text.splitlines()[0].removeprefix("# expect: ").split()
    report, _, _ = explain(path)
    if not verdict:
        assert report.verdict == "connected"
        assert report.diagnostics == ()
        return
    lines = [number for number, line in enumerate(text.splitlines(), 1) if line.endswith("# root cause")]
    first = report.diagnostics[0]
    assert (first.name, report.verdict) == (name, verdict[0])
    assert first.location is not None
    assert first.location.path == str(path)
    assert first.location.line in lines
