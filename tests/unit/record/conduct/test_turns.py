"""One run after another, whichever thread it is in."""

from __future__ import annotations

import signal
import sys
import threading
import time

import pytest

from gradflow.record.conduct.turns import Turn


def test_another_thread_waits_for_its_turn() -> None:
    seen: list[str] = []

    def work() -> None:
        with Turn(sys._getframe()):
            seen.append("second")

    thread = threading.Thread(target=work)
    with Turn(sys._getframe()):
        thread.start()
        time.sleep(0.2)
        seen.append("first")
    thread.join(10)
    assert seen == ["first", "second"]


def test_the_same_thread_does_not_wait_for_itself() -> None:
    with Turn(sys._getframe()), Turn(sys._getframe()):
        pass


def test_who_waits_can_be_interrupted() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        with Turn(sys._getframe()):
            begun.set()
            go_on.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(10)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.2, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt), Turn(sys._getframe()):
            pass
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
        go_on.set()
        thread.join(10)
    with Turn(sys._getframe()):
        pass
