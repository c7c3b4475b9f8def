"""A limit on memory for what counts no operation beforehand, where the system has one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from gradflow.torch_facts.messages.surroundings import is_out_of_memory

__all__ = ["limited_memory"]


@contextlib.contextmanager
def limited_memory(size: int) -> Iterator[None]:
    """Let this process take at most ``size`` bytes more than it has, while the block runs.

    Nothing is limited where the system cannot do so.

    Raises
    ------
    MemoryError
        When the block asks for more, also where torch says so in words of its own.
    """
    in_use = _address_space()
    if in_use is None:
        yield
        return
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = in_use + size
    if soft != resource.RLIM_INFINITY:
        limit = min(limit, soft)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(str(error)):
            raise MemoryError(str(error)) from error
        raise
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space() -> int | None:
    """Bytes of this process's address space; ``None`` where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    except (OSError, IndexError):
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
