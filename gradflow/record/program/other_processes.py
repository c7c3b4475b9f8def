"""Other processes, with which a program may share memory: what they may reach is noted, and nothing of what they do."""

from __future__ import annotations

import contextlib
import multiprocessing.process
from collections.abc import Callable, Iterator
from typing import Any

from gradflow.record.conduct.aside import Aside, Operation
from gradflow.record.operations.tables import Tables
from gradflow.record.operations.tensor_facts import is_shared
from gradflow.record.patches import replace
from gradflow.record.program.log import Log

__all__ = ["note_shared_leaves", "processes_noted"]


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
    """Note the leaves that require grad and lie in memory which other processes may write to, of those that live."""
    leaves = (leaf for reference in tables.leaves() if (leaf := reference()) is not None)
    log.shared_leaves.update(tables.known_value(leaf) for leaf in leaves if is_shared(leaf))
