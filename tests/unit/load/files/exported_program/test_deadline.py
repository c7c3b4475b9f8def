"""A block of Python is given up when it takes too long, and nothing is raised after it."""

from __future__ import annotations

import contextlib
import time

import pytest

from gradflow.errors import LoadError
from gradflow.load.files import exported
from gradflow.load.files.exported_program.deadline import TookTooLongError, deadline


def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_what_takes_too_long_is_given_up():
    before = time.monotonic()
    with pytest.raises(TookTooLongError), deadline(0.05):
        spin(20)
    assert time.monotonic() - before < 10


def test_code_that_catches_everything_is_given_up():
    def stubborn():
        while True:
            with contextlib.suppress(Exception):
                spin(20)

    with pytest.raises(TookTooLongError), deadline(0.05):
        stubborn()


def test_what_is_done_in_time_is_left_alone():
    with deadline(0.2):
        done = True
    spin(0.4)
    assert done


def test_an_exception_within_passes():
    with pytest.raises(KeyError), deadline(5):
        raise KeyError


def test_a_program_that_keeps_torch_busy_is_one_clear_error(changed, monkeypatch):
    monkeypatch.setattr(exported, "_SECONDS", 0.05)
    monkeypatch.setattr(exported, "_SECONDS_PER_MEBIBYTE", 0.0)
    monkeypatch.setattr(exported, "_load_copy", lambda _: spin(20))
    with pytest.raises(LoadError, match="torch was not done"):
        exported.load_exported(changed.write(changed.records()), trust=False)
