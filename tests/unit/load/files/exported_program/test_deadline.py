"""Work is given up when it takes too long, and nothing is raised, and nobody watches, after it."""

from __future__ import annotations

import contextlib
import json
import random
import sys
import threading
import time

import pytest
import sympy
import torch

from gradflow.errors import LoadError
from gradflow.load.files import exported
from gradflow.load.files.exported_program import deadline
from gradflow.load.files.exported_program.deadline import TookTooLongError, within


def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@pytest.fixture(autouse=True)
def no_watcher_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_what_takes_too_long_is_given_up():
    before = time.monotonic()
    with pytest.raises(TookTooLongError):
        within(0.05, lambda: spin(20))
    assert time.monotonic() - before < 10


def test_code_that_catches_everything_is_given_up():
    def stubborn():
        while True:
            with contextlib.suppress(Exception):
                spin(20)

    with pytest.raises(TookTooLongError):
        within(0.05, stubborn)


def test_code_that_catches_even_the_interruption_is_interrupted_again(monkeypatch):
    monkeypatch.setattr(deadline, "_AGAIN_SECONDS", 0.05)
    caught = []

    def stubborn():
        while len(caught) < 3:
            try:
                spin(20)
            except BaseException as error:  # noqa: BLE001 - as some of torch does
                caught.append(error)
        return "a result of work that was interrupted"

    with pytest.raises(TookTooLongError):
        within(0.05, stubborn)
    assert len(caught) == 3


def test_an_interruption_of_a_destructor_prints_nothing_and_what_else_fails_there_is_still_heard(monkeypatch):
    heard = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: heard.append(unraisable.exc_type))
    hook = sys.unraisablehook

    class Slow:
        def __del__(self):
            spin(0.1)

    class Failing:
        def __del__(self):
            raise ValueError

    def forget():
        made = [Failing(), Slow()]
        made.clear()

    with pytest.raises(TookTooLongError):
        within(0.02, forget)
    assert heard == [ValueError]
    assert sys.unraisablehook is hook


def test_what_is_done_in_time_is_left_alone():
    assert within(0.2, lambda: "done") == "done"
    spin(0.4)


def test_an_exception_within_passes():
    with pytest.raises(KeyError, match="the work's own"):
        within(5, lambda: {}["the work's own"])


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_leaving_the_program_passes_and_leaves_no_watcher(kind):
    def leave():
        raise kind

    with pytest.raises(kind):
        within(5, leave)


def parse():
    text = json.dumps({"a": [1, 2.5, {"b": "c" * 50}] * 40})
    return len([json.loads(text)["a"][5]["b"] for _ in range(60)])


def simplify():
    x, y = sympy.symbols("x y", integer=True, positive=True)
    return str(sympy.expand((x + y) ** 4).subs(y, 2))


def compute():
    torch.manual_seed(0)
    total = torch.zeros(8)
    for _ in range(100):
        total = total + torch.ones(8, 8).sum(0)
    return total.tolist()


def insist():
    count = 0
    for _ in range(300):
        with contextlib.suppress(Exception):
            count += 1
            raise KeyError(count)
    return count


def nest():
    @contextlib.contextmanager
    def counted(seen):
        try:
            yield
        finally:
            seen.append(1)

    seen = []
    for _ in range(500):
        with counted(seen), counted(seen):
            pass
    return len(seen)


WORKS = [parse, simplify, compute, insist, nest]


@pytest.fixture
def threads_that_take_turns_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("threads_that_take_turns_often")
@pytest.mark.parametrize("work", WORKS)
def test_at_any_moment_it_is_either_the_right_result_or_too_long(work):
    expected = work()

    def repeated():
        end = time.monotonic() + 0.012
        found = [work()]
        while time.monotonic() < end:
            found.append(work())
        return found

    draw = random.Random(work.__name__)
    outcomes = set()
    for number in range(80):
        seconds = draw.uniform(0.001, 0.03) if number % 2 else draw.uniform(0.01, 0.015)
        try:
            assert all(found == expected for found in within(seconds, repeated))
            outcomes.add("done")
        except TookTooLongError:
            outcomes.add("too long")
    spin(0.01)
    assert outcomes == {"done", "too long"}


@pytest.mark.usefixtures("threads_that_take_turns_often")
def test_work_that_fails_at_about_the_deadline_fails_or_takes_too_long():
    def fail():
        spin(0.003)
        raise KeyError

    for number in range(200):
        with pytest.raises((KeyError, TookTooLongError)):
            within(0.002 + number * 1e-5, fail)


def test_a_program_that_keeps_torch_busy_is_one_clear_error(changed, monkeypatch):
    monkeypatch.setattr(exported, "RESTORING_SECONDS", 0.05)
    monkeypatch.setattr(exported, "RESTORING_SECONDS_PER_MEBIBYTE", 0.0)
    monkeypatch.setattr(exported, "_load_copy", lambda _: spin(20))
    with pytest.raises(LoadError, match="torch was not done"):
        exported.load_exported(changed.write(changed.records()), trust=False)
