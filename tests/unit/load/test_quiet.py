"""What is run quietly says nothing, and is left as it was."""

from __future__ import annotations

import logging
import sys
import warnings

import pytest

from gradflow.load.quiet import quietly


def speak():
    sys.stdout.write("printed\n")
    warnings.warn("warned", UserWarning, stacklevel=1)
    logging.getLogger("some.library").critical("logged")


def test_nothing_is_said(capsys, caplog, recwarn):
    with quietly():
        speak()
    assert capsys.readouterr().out == ""
    assert not caplog.records
    assert not recwarn.list


def test_afterwards_everything_is_said_again(capsys, caplog):
    with pytest.raises(KeyError), quietly():
        raise KeyError
    with pytest.warns(UserWarning, match="warned"):
        speak()
    assert capsys.readouterr().out == "printed\n"
    assert [record.message for record in caplog.records] == ["logged"]


def test_logging_that_was_off_stays_off(caplog):
    logging.disable(logging.CRITICAL)
    try:
        with quietly():
            pass
        logging.getLogger("some.library").critical("logged")
        assert not caplog.records
    finally:
        logging.disable(logging.NOTSET)
