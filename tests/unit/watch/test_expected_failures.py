"""A test that is declared to fail is no fault where it does; one that is not, is."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from gradflow.record.program.running import run_program  # noqa: E402
from gradflow.record.program.watching import Watch  # noqa: E402
from gradflow.report import Report  # noqa: E402
from gradflow.watch.explaining import explain_observation  # noqa: E402
from gradflow.watch.observing import observation_of  # noqa: E402

Explain = Callable[[str], Report]

PYTEST = """import pytest, torch
{mark}
def test_it():
    torch.rand(3, requires_grad=True).tanh().argmax().float().backward()
if __name__ == "__main__":
    without = [part for name in ("cacheprovider", "gradflow", "xdist") for part in ("-p", "no:" + name)]
    pytest.main(["-q", *without, "--rootdir", {folder!r}, __file__])
"""

UNITTEST = """import unittest, torch
{above}
class Case(unittest.TestCase):
    {mark}
    def test_it(self):
        torch.rand(3, requires_grad=True).tanh().argmax().float().backward()
if __name__ == "__main__":
    unittest.main(argv=["it"], exit=False)
"""


@pytest.fixture
def explain(tmp_path: Path) -> Explain:
    """Run a program of tests and explain it."""

    def run(source: str) -> Report:
        path = tmp_path / "test_program.py"
        path.write_text(source.replace("FOLDER", str(tmp_path)))
        watch = Watch()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run_program(watch, str(path), (), is_module=False)
        return explain_observation(observation_of(watch))

    return run


def severities(report: Report) -> list[str]:
    return [one.severity for one in report.diagnostics]


@pytest.mark.parametrize(
    "mark",
    [
        "@pytest.mark.xfail",
        "@pytest.mark.xfail(raises=RuntimeError, strict=True)",
        "@pytest.mark.xfail(raises=(ValueError, RuntimeError))",
        "@pytest.mark.xfail(True, reason='so it is')",
    ],
)
def test_a_failure_that_pytest_expects_is_a_remark(explain: Explain, mark: str) -> None:
    report = explain(PYTEST.format(mark=mark, folder="FOLDER"))
    assert (report.verdict, severities(report)) == ("connected", ["info"])


@pytest.mark.parametrize(
    "mark", ["", "@pytest.mark.xfail(raises=ValueError)", "@pytest.mark.xfail(False, reason='not now')"]
)
def test_one_that_it_does_not_is_a_fault(explain: Explain, mark: str) -> None:
    report = explain(PYTEST.format(mark=mark, folder="FOLDER"))
    assert severities(report) == ["error"]


@pytest.mark.parametrize(
    ("above", "mark", "severity"),
    [
        ("", "@unittest.expectedFailure", "info"),
        ("@unittest.expectedFailure", "", "info"),
        ("", "", "error"),
    ],
)
def test_unittest_declares_it_too(explain: Explain, above: str, mark: str, severity: str) -> None:
    assert severities(explain(UNITTEST.format(above=above, mark=mark))) == [severity]
