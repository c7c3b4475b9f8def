"""Who caught an exception of autograd: the program itself, by which statement, or whoever runs the program."""

from __future__ import annotations

import contextlib
import gc
import io
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from gradflow.record.program.exceptions.caught import handler_at  # noqa: E402
from gradflow.record.program.running import run_program  # noqa: E402
from gradflow.record.program.watching import Watch  # noqa: E402
from gradflow.report import Report  # noqa: E402
from gradflow.watch.explaining import explain_observation  # noqa: E402
from gradflow.watch.observation import Observation  # noqa: E402
from gradflow.watch.observing import observation_of  # noqa: E402

Observe = Callable[[str], Observation]

HEAD = """
import contextlib, unittest
import pytest, torch
x = torch.ones(2)
case = unittest.TestCase()
"""


@pytest.fixture
def observe(tmp_path: Path) -> Observe:
    """Run a program and give what was seen."""

    def run(source: str) -> Observation:
        path = tmp_path / "program.py"
        path.write_text(HEAD + textwrap.dedent(source))
        watch = Watch()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run_program(watch, str(path), (), is_module=False)
        gc.collect()
        return observation_of(watch)

    return run


RAISING = "x.sum().backward()"

EXPECTED = [
    f"with case.assertRaises(RuntimeError):\n    {RAISING}",
    f"with case.assertRaises(RuntimeError) as caught:\n    {RAISING}",
    "case.assertRaises(RuntimeError, x.sum().backward)",
    f"with pytest.raises(RuntimeError, match='grad'):\n    {RAISING}",
    f"with contextlib.suppress(RuntimeError):\n    {RAISING}",
    f"def test():\n    with pytest.raises(RuntimeError) as caught:\n        {RAISING}\n    assert caught\ntest()",
    f"def helper():\n    {RAISING}\nwith pytest.raises(RuntimeError):\n    helper()",
]

PROBES = [
    f"try:\n    {RAISING}\nexcept RuntimeError as error:\n    print(error)",
    f"def probe():\n    try:\n        {RAISING}\n    except RuntimeError:\n        return False\nprobe()",
    f"try:\n    with torch.no_grad():\n        {RAISING}\nexcept RuntimeError:\n    pass",
    f"def helper():\n    {RAISING}\nfor _ in '12':\n    try:\n        helper()\n    except Exception:\n        pass",
]

FAILS = f"kept = []\ndef fail():\n    {RAISING}\n"

KEPT = [
    f"try:\n    {RAISING}\nexcept RuntimeError as error:\n    kept = error",
    f"import sys\ntry:\n    {RAISING}\nexcept RuntimeError:\n    kept = sys.exc_info()",
    f"{FAILS}try:\n    fail()\nexcept RuntimeError as error:\n    kept.append(error)",
    f"""{FAILS}
def retry():
    for _ in range(2):
        try:
            fail()
        except RuntimeError as error:
            kept.append(error)
retry()
raise SystemExit(0)""",
    f"""{FAILS}
def fail_otherwise():
    try:
        fail()
    except RuntimeError as error:
        raise ValueError from error
try:
    fail_otherwise()
except ValueError as error:
    kept.append(error)""",
]

KEPT_UNTIL_IT_FAILS = f"{KEPT[2]}\nraise KeyError('another')"

NOT_CAUGHT = [
    RAISING,
    f"try:\n    {RAISING}\nfinally:\n    print('cleaned up')",
    f"try:\n    {RAISING}\nexcept RuntimeError as error:\n    raise ValueError('no') from error",
    f"try:\n    {RAISING}\nexcept RuntimeError:\n    raise SystemExit(1)",
    f"try:\n    {RAISING}\nexcept RuntimeError as error:\n    kept = error\nraise kept",
    f"try:\n    {RAISING}\nexcept RuntimeError as error:\n    kept = error\nraise ValueError('no') from kept",
    # a runner of the program's own, too
    f"{FAILS}try:\n    fail()\nexcept Exception as error:\n    kept.append(error)\nraise SystemExit(len(kept))",
    # the runner of the tests takes it for a failure
    f"class Test(unittest.TestCase):\n    def test(self):\n        {RAISING}\nunittest.main(exit=False, argv=['-'])",
]


def caught_by(observation: Observation) -> set[str]:
    return {one.caught_by for one in observation.program.backwards}


@pytest.mark.parametrize("source", [*KEPT, KEPT_UNTIL_IT_FAILS])
def test_what_the_program_keeps_until_it_ends_was_caught(observe: Observe, source: str) -> None:
    observation = observe(source)
    assert caught_by(observation) == {"except"}
    severities = {one.name: one.severity for one in explain_observation(observation).diagnostics}
    assert "error" not in severities.values()


def test_what_a_block_keeps_was_caught_in_it() -> None:
    import gradflow

    x, kept = torch.ones(2), []

    def fail() -> None:
        x.sum().backward()

    with gradflow.explain(quiet=True) as seen:
        try:
            fail()
        except RuntimeError as error:
            kept.append(error)
    assert kept
    assert {one.severity for one in seen.report.diagnostics} == {"warning"}


@pytest.mark.parametrize("source", EXPECTED)
def test_what_a_with_statement_swallows_is_expected(observe: Observe, source: str) -> None:
    observation = observe(source)
    assert caught_by(observation) == {"with"}
    report: Report = explain_observation(observation)
    assert report.verdict == "connected"
    assert {one.severity for one in report.diagnostics} <= {"info"}


@pytest.mark.parametrize("source", PROBES)
def test_what_the_program_catches_and_goes_on_from_is_no_error(observe: Observe, source: str) -> None:
    observation = observe(source)
    assert caught_by(observation) == {"except"}
    severities = {one.severity for one in explain_observation(observation).diagnostics}
    assert severities
    assert "error" not in severities


@pytest.mark.parametrize("source", NOT_CAUGHT)
def test_what_the_program_does_not_go_on_from_stays_a_fault(observe: Observe, source: str) -> None:
    observation = observe(source)
    assert caught_by(observation) == {""}
    report = explain_observation(observation)
    assert report.verdict == "error"
    assert report.diagnostics[0].severity in ("error", "warning")


def test_the_exception_lives_no_longer_than_without_gradflow(observe: Observe) -> None:
    source = """
        import gc, weakref
        class Witness: pass
        def run():
            witness = Witness()
            gone.append(weakref.ref(witness))
            x.sum().backward()
        gone = []
        gc.disable()
        try:
            run()
        except RuntimeError:
            pass
        alive = gone[0]() is not None
        gc.enable()
        if alive:
            (torch.ones(1, requires_grad=True) * 2).sum().backward()
    """
    assert len(observe(source).program.backwards) == 1


def test_a_handler_is_told_from_a_clean_up() -> None:
    def both(manager, call):  # type: ignore[no-untyped-def]
        try:
            with manager:
                call()
        except ValueError:
            pass

    def alone(manager, call):  # type: ignore[no-untyped-def]
        with manager:
            call()

    def seen(function: Callable[..., None]) -> str:
        kept = []
        with contextlib.suppress(ValueError):
            function(contextlib.nullcontext(), lambda: kept.append(__import__("sys")._getframe(1).f_lasti))
        return handler_at(function.__code__, kept[0])

    assert (seen(both), seen(alone)) == ("except", "with")
