"""Peak memory of one call, measured in a forked child so that calls do not see each other's leftovers."""

from __future__ import annotations

import gc
import os
import re
import resource
import struct
from pathlib import Path

from benchmarks import subjects
from benchmarks.methods import Method
from benchmarks.subjects import Subject

_STATUS = Path("/proc/self/status")


def _kibibytes(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) if found else 0


def _growth_in_bytes(subject: Subject, method: Method) -> int:
    method.run(subjects.small())  # what is measured is a call, not what the first one loads
    gc.collect()
    if not _STATUS.exists():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        method.run(subject)
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the high-water mark
    before = _kibibytes("VmRSS")
    method.run(subject)
    return (_kibibytes("VmHWM") - before) * 1024


def peak_growth(subject: Subject, method: Method, repeats: int = 3) -> int | None:
    """Bytes by which the resident set grew at its peak, the least of several children; ``None`` if the call failed."""
    measured = [growth for _ in range(repeats) if (growth := _in_child(subject, method)) is not None]
    return min(measured, default=None)


def _in_child(subject: Subject, method: Method) -> int | None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(writer, struct.pack("q", _growth_in_bytes(subject, method)))
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return struct.unpack("q", answer)[0] if answer else None
