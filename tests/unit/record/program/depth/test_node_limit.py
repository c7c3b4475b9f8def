"""The bound on graphs, by the stack of the thread."""

from __future__ import annotations

import threading

from gradflow.record.program.depth.limit import node_limit


def test_a_thread_with_a_small_stack_bears_fewer_nodes() -> None:
    found: list[int] = []
    before = threading.stack_size(512 * 1024)
    try:
        thread = threading.Thread(target=lambda: found.append(node_limit()))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert 100 <= found[0] <= 1_000 < node_limit() <= 10_000
