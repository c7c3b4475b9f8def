"""Programs of the kind people have: under gradflow they print the same, nothing is blamed; one fault in them is found.

The programs lie in ``fixtures/library_programs``, the faults to plant, each with its truth, in ``faults.toml`` there.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import os
import sys
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch")

import torch

from gradflow.record.program.running import run_program
from gradflow.record.program.watching import Watch
from gradflow.report import Report
from gradflow.watch.explaining import explain_observation
from gradflow.watch.observing import observation_of

FOLDER = Path(__file__).parents[2] / "fixtures" / "library_programs"
PROGRAMS = sorted(FOLDER.glob("*.py"))

pytestmark = pytest.mark.filterwarnings("ignore")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is changed in a program, and what is to be said of it; ``blame`` is found in the line(s) to be named."""

    program: str
    change: tuple[tuple[str, str], ...]
    cause: str
    verdict: str
    severity: str = "error"
    blame: tuple[str, ...] = ()
    open: str = ""

    def source(self) -> str:
        """The program with the fault in it."""
        text = (FOLDER / f"{self.program}.py").read_text()
        for old, new in self.change:
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {self.program}"
            text = text.replace(old, new)
        return text

    def lines(self, text: str) -> list[int]:
        """The numbers of the lines to blame."""
        blame = self.blame or (self.change[0][1].strip(),)
        return [number for number, line in enumerate(text.splitlines(), 1) if any(part in line for part in blame)]


def faults() -> Iterator[object]:
    for row in tomllib.loads((FOLDER / "faults.toml").read_text())["fault"]:
        changes = tuple((old, new) for old, new in row.pop("change"))
        fault = Fault(change=changes, blame=tuple(row.pop("blame", ())), **row)
        marks = [pytest.mark.xfail(reason=fault.open, strict=True)] if fault.open else []
        yield pytest.param(fault, id=f"{fault.program}-{fault.cause}", marks=marks)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """What programs set for their process is taken back."""
    import torch

    environment, was_deterministic = dict(os.environ), torch.are_deterministic_algorithms_enabled()
    with warnings.catch_warnings():
        yield
    os.environ.clear()
    os.environ.update(environment)
    torch.use_deterministic_algorithms(was_deterministic)


def need_libraries(text: str) -> None:
    """Skip where a library that the program imports is not installed."""
    for node in ast.walk(ast.parse(text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        for name in names:
            pytest.importorskip(name.partition(".")[0])
    if "TrainingArguments" in text:
        pytest.importorskip("accelerate")  # transformers imports it only when it trains


@pytest.fixture(autouse=True)
def _no_process_group_is_left() -> Iterator[None]:
    """A program that a planted fault stops does not come to the line that ends its process group."""
    yield
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def run_plain(path: Path) -> str:
    """What the program prints by itself."""
    main = ModuleType("__main__")
    vars(main).update(__builtins__=builtins, __file__=str(path))
    before = sys.modules["__main__"]
    printed = io.StringIO()
    sys.modules["__main__"] = main
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            exec(compile(path.read_bytes(), path, "exec"), vars(main))
    finally:
        sys.modules["__main__"] = before
    return printed.getvalue()


def run_watched(path: Path) -> tuple[Report, int, str]:
    """The report, the exit status and what the program prints under gradflow."""
    watch = Watch()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        status = run_program(watch, str(path), [], is_module=False)
    return explain_observation(observation_of(watch), program=path.name), status, printed.getvalue()


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_prints_the_same_and_nothing_is_blamed(path: Path) -> None:
    need_libraries(path.read_text())
    expected = run_plain(path)
    report, status, printed = run_watched(path)
    assert expected
    assert (printed, status) == (expected, 0)
    assert report.diagnostics == ()
    assert report.verdict == "connected"


@pytest.mark.parametrize("fault", list(faults()))
def test_a_planted_fault_is_found(fault: Fault, tmp_path: Path) -> None:
    text = fault.source()
    need_libraries(text)
    path = tmp_path / f"{fault.program}.py"
    path.write_text(text)
    report, _, _ = run_watched(path)
    assert report.diagnostics, "nothing was said"
    first = report.diagnostics[0]
    assert (first.name, first.severity, report.verdict) == (fault.cause, fault.severity, fault.verdict)
    assert first.location is not None
    assert first.location.path == str(path)
    assert first.location.line in fault.lines(text)
