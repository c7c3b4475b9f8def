"""Exceptions of the program are read and written without a line of the program."""

from __future__ import annotations

import dataclasses

import pytest

from gradflow.record.conduct.their_exceptions import attribute_of, is_one, set_attribute, set_traceback, text_of


class SilentError(Exception):
    shown = 0

    def __str__(self) -> str:
        SilentError.shown += 1
        raise ValueError("no text")


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    number: int


@pytest.mark.parametrize(
    "error", [ValueError("bad 7"), KeyError("name"), OSError(2, "no such file"), ValueError(), RuntimeError("a", 1)]
)
def test_the_text_of_an_exception_that_python_shows_is_what_it_shows(error: BaseException) -> None:
    assert text_of(error) == str(error)


def test_what_the_program_shows_by_itself_is_not_asked() -> None:
    assert text_of(SilentError("made with this", 7)) == "made with this"
    assert SilentError.shown == 0


def test_an_argument_of_the_program_is_not_asked() -> None:
    class Loud:
        def __str__(self) -> str:
            raise AssertionError("asked")

    assert text_of(RuntimeError(Loud(), "and this")) == "and this"


def test_a_frozen_exception_gets_a_traceback_and_a_mark() -> None:
    error = FrozenError(1)
    with pytest.raises(FrozenError):
        raise error
    assert error.__traceback__ is not None
    set_traceback(error, None)
    set_attribute(error, "mark", True)
    assert error.__traceback__ is None
    assert vars(error)["mark"] is True


def test_attributes_are_those_of_pythons_own_kinds() -> None:
    error = AttributeError("no", name="grad", obj=3)
    assert attribute_of(error, AttributeError, "obj") == 3
    assert attribute_of(ValueError("no"), AttributeError, "obj") is None
    assert is_one(error, ValueError, AttributeError)
    assert not is_one(error, ValueError)
