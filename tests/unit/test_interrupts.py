"""Ctrl-C is held while gradflow's own `with` statements are entered or left, and only then."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gradflow.interrupts import Guard, give_held_interrupt
from gradflow.location import own_directory

_BLOCK = """
class Block:
    def __init__(self, entering, leaving):
        self.entering, self.leaving = entering, leaving

    def __enter__(self):
        self.entering()

    def __exit__(self, *error):
        self.leaving()
"""


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def nothing() -> None:
    pass


def block(entering: Callable[[], object], leaving: Callable[[], object]) -> Any:
    """A context manager whose code is gradflow's by its path."""
    found: dict[str, Any] = {}
    exec(compile(_BLOCK, f"{own_directory()}block.py", "exec"), found)
    return found["Block"](entering, leaving)


@pytest.fixture(autouse=True)
def default_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_while_something_is_put_back_comes_when_all_is() -> None:
    done = []

    def leaving() -> None:
        interrupt()
        done.append("put back")

    def run() -> None:
        with Guard(sys._getframe()):
            with block(nothing, leaving):
                pass
            done.append("after")

    with pytest.raises(KeyboardInterrupt):
        run()
    assert done == ["put back", "after"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_while_something_is_set_up_is_given_before_the_model_runs() -> None:
    reached = []

    def run() -> None:
        with Guard(sys._getframe()), block(interrupt, nothing):
            reached.append("set up")
            give_held_interrupt()
            reached.append("the model")

    with pytest.raises(KeyboardInterrupt):
        run()
    assert reached == ["set up"]


def test_a_second_interrupt_does_not_stop_what_the_first_has_begun() -> None:
    done = []

    def leaving() -> None:
        interrupt()
        done.append("put back")

    with pytest.raises(KeyboardInterrupt), Guard(sys._getframe()), block(nothing, leaving):
        interrupt()
    assert done == ["put back"]


def test_an_interrupt_within_the_block_comes_at_once() -> None:
    done = []

    def run() -> None:
        with Guard(sys._getframe()), block(nothing, nothing):
            interrupt()
            done.append("after")

    with pytest.raises(KeyboardInterrupt):
        run()
    assert not done


def test_a_with_statement_of_the_program_holds_nothing() -> None:
    done = []

    @contextlib.contextmanager
    def of_the_program() -> Iterator[None]:
        yield
        interrupt()
        done.append("after")

    with pytest.raises(KeyboardInterrupt), Guard(sys._getframe()), of_the_program():
        pass
    assert not done


def test_what_the_program_does_about_an_interrupt_is_done_instead() -> None:
    seen: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    with Guard(sys._getframe()), block(nothing, interrupt):
        interrupt()
        assert len(seen) == 1
    assert len(seen) == 2


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_where_python_handles_no_interrupt_none_is_handled(handler: signal.Handlers) -> None:
    signal.signal(signal.SIGINT, handler)
    with Guard(sys._getframe()):
        assert signal.getsignal(signal.SIGINT) == handler


def test_other_threads_have_no_signals_to_hold() -> None:
    seen = []

    def work() -> None:
        with Guard(sys._getframe()):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
