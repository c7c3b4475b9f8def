"""What a program does outside of the thread that is watched: threads that it starts, memory that processes share.

Nothing there is watched, and nothing is changed there; that it is there tells what may have gone unseen.
"""

from __future__ import annotations

import contextlib
import multiprocessing.process
import threading
from collections.abc import Callable, Iterator
from typing import Any

from gradflow.record.conduct.aside import Aside, Operation
from gradflow.record.operations.tables import Tables
from gradflow.record.operations.tensor_facts import is_shared
from gradflow.record.patches import replace
from gradflow.record.program.log import Log

__all__ = ["note_shared_leaves", "processes_noted", "threads_counted"]


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


@contextlib.contextmanager
def processes_noted(aside: Aside, log: Log, note_leaves: Callable[[], None]) -> Iterator[None]:
    """Note in ``log`` whether others may share memory with this process: its parent's, or started before or meanwhile.

    A fork tells of itself; a process that begins anew is started by ``multiprocessing``, which hands memory to it.
    """

    def start(operation: Operation, process: Any, /) -> Any:
        log.has_other_processes = True
        note_leaves()
        return operation(process)

    # to ask `active_children` would wait for those that have ended
    running = getattr(multiprocessing.process, "_children", ())
    log.has_other_processes = multiprocessing.process.parent_process() is not None or bool(running)
    with contextlib.ExitStack() as stack:
        process = multiprocessing.process.BaseProcess
        replace(stack, process, "start", aside.around(start, process.start))
        yield


def note_shared_leaves(tables: Tables, log: Log) -> None:
    """Count the leaves that require grad and lie in memory which other processes may write to, of those that live."""
    leaves = (reference() for reference in tables.leaves())
    count = sum(leaf is not None and is_shared(leaf) for leaf in leaves)
    log.shared_leaf_count = max(log.shared_leaf_count, count)
