"""How large a graph may be for Python to look at every node of it.

A node that Python has seen frees what comes after it from within its own destructor, so a long chain of them takes a
piece of the stack each: some 200 bytes, measured on x86-64; 60,000 in a row overflow 8 MB, 3,000 half a megabyte.
"""

from __future__ import annotations

import sys
import threading

__all__ = ["node_limit"]

_MOST = 10_000
_BYTES_PER_NODE = 800
_SECONDARY_ON_MAC = 512 * 1024
_ON_WINDOWS = 1024 * 1024
_USUAL = 8 * 1024 * 1024


def node_limit() -> int:
    """The most nodes that the stack of the running thread bears with a wide margin."""
    return min(_MOST, _stack_size() // _BYTES_PER_NODE)


def _stack_size() -> int:
    if sys.platform == "win32":
        return _ON_WINDOWS
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_STACK)
    main = _USUAL if limit == resource.RLIM_INFINITY else limit
    if threading.current_thread() is threading.main_thread():
        return main
    return threading.stack_size() or (_SECONDARY_ON_MAC if sys.platform == "darwin" else main)
