"""Parameters that are given values of half precision by ``x.data = ...``, as ``model.half()`` does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradflow.record.program.log import Log
from gradflow.record.recorder import Recorder

__all__ = ["watch_precision"]

_LOW = ("float16", "bfloat16")


def watch_precision(recorder: Recorder, log: Log) -> None:
    """Note the first place."""
    tables = recorder.tables

    def note(row: int, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        read = tables.inputs_of(row)
        if log.low_precision or len(read) < 2:
            return
        before, given = (tables.dtypes[tables.values.dtype[value]] for value in read[:2])
        if given in _LOW and before not in _LOW:
            log.low_precision.append((tables.operations.site[row], row))

    recorder.recorded.look_after(("data=",), note)
