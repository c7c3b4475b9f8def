"""Other threads, and that to ask for their frames ends."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

import pytest

from gradflow.record.conduct.threads import is_alone, running_frames

# a collection falls into each allocation, and what it frees asks for the list of threads
ASKING = """
import gc, threading
from gradflow.record.conduct.threads import running_frames
threading.Thread(target=threading.Event().wait, daemon=True).start()
gc.set_threshold(1)
for _ in range(500):
    own = [threading.local()]
    own[0].kept = own
    del own
    assert len(running_frames()) == 2
"""


def test_asking_ends_also_where_rubbish_of_other_threads_is_collected() -> None:
    done = subprocess.run([sys.executable, "-c", ASKING], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_who_is_alone() -> None:
    script = "import threading; from gradflow.record.conduct.threads import *; print(is_alone(), running_frames())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "True {}\n", done.stderr
    begun, may_end, found = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        found.append(is_alone())
        may_end.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(60)
    try:
        assert not is_alone()
        frame = running_frames()[thread.ident or 0]
        while frame.f_back is not None and frame.f_code is not work.__code__:
            frame = frame.f_back
        assert frame.f_code is work.__code__
    finally:
        may_end.set()
        thread.join()
    assert found == [False]


@pytest.mark.parametrize("is_on", [True, False])
def test_collection_is_as_it_was(is_on: bool) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    if not is_on:
        gc.disable()
    try:
        assert running_frames()
        assert gc.isenabled() is is_on
    finally:
        gc.enable()
        stop.set()
        thread.join()
