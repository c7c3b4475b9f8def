"""Torch makes half a million objects that live as long as the process; searching them for garbage is in vain."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator

__all__ = ["loading_torch"]


@contextlib.contextmanager
def loading_torch() -> Iterator[None]:
    """Keep the garbage collector from what the block imports, now and later.

    Only where this is what loads torch, so the process is the command's own: to whoever has it already, the collector
    belongs. What the model leaves behind is collected as ever.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
