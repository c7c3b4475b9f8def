"""What a program does outside of the thread that is watched: threads that it starts, memory that processes share.

Nothing there is watched, and nothing is changed there; that it is there tells what may have gone unseen.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from gradflow.record.conduct.aside import Aside, Operation
from gradflow.record.operations.tables import Tables
from gradflow.record.operations.tensor_facts import is_shared
from gradflow.record.patches import replace
from gradflow.record.program.log import Log

__all__ = ["note_shared_leaves", "threads_counted"]


@contextlib.contextmanager
def threads_counted(aside: Aside, log: Log) -> Iterator[None]:
    """Count in ``log`` the threads that are started in the block."""

    def start(operation: Operation, thread: Any, /) -> Any:
        result = operation(thread)
        with log.counting:
            log.thread_count += 1
        return result

    with contextlib.ExitStack() as stack:
        replace(stack, threading.Thread, "start", aside.around(start, threading.Thread.start))
        yield


def note_shared_leaves(tables: Tables, log: Log) -> None:
    """Count the leaves that require grad and lie in memory which other processes may write to, of those that live."""
    leaves = (reference() for reference in tables.leaves())
    count = sum(leaf is not None and is_shared(leaf) for leaf in leaves)
    log.shared_leaf_count = max(log.shared_leaf_count, count)
