"""Frames between a line of the program's and the operation that it asks for.

The methods of a mode or of a tensor class of the program's lie there. Where one does nothing but call what it was
handed, itself or by a function that it hands it to, the operation is not its own: the place is that of the line below.
The local variables of no frame are asked: Python would keep them all alive with it.
"""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Collection, Sequence
from types import CodeType, FrameType

__all__ = ["behind_helpers", "calls_own", "calls_what_it_is_handed", "hands_on", "is_handler"]

_PROTOCOL = ("__torch_function__", "__torch_dispatch__")
_OPERATION = 1
"""Where among its arguments it is handed the operation, behind itself or its class."""

_MORE = ("LOAD_ATTR", "LOAD_METHOD", "BINARY_", "CALL")
"""What makes of a name something else, before it is called."""

_Place = tuple[int | None, int | None]


def is_handler(code: CodeType) -> bool:
    """Whether this is what torch looks up under its name in a mode or a tensor class, to hand it operations."""
    return code.co_name in _PROTOCOL and code.co_argcount > _OPERATION


@functools.lru_cache(maxsize=1024)
def hands_on(code: CodeType, offset: int) -> bool:
    """Whether what a handler calls here is the very operation that it was handed."""
    return _calls(code, offset, (code.co_varnames[_OPERATION],))


@functools.lru_cache(maxsize=4096)
def calls_what_it_is_handed(code: CodeType) -> bool:
    """Whether any call in this function may be one of an argument of its own."""
    names = _parameters(code)
    if not names:
        return False
    # read once from top to bottom: to look back from each call took a long function's length for each of its calls
    loaded: set[_Place] = set()
    more: set[_Place] = set()
    for step in dis.get_instructions(code):
        begin = _begin(step)
        if None in begin:
            continue
        if step.opname.startswith("CALL") and begin not in more and begin in loaded:
            return True
        if step.opname.startswith(_MORE):
            more.add(begin)
        elif _loads(step, names):
            loaded.add(begin)
    return False


def behind_helpers(frame: FrameType) -> FrameType | None:
    """The handler that has handed its operation to the function of this frame, which calls it; ``None`` for none.

    Other functions may stand between them that hand on what they are handed.
    """
    if not calls_own(frame.f_code, frame.f_lasti):
        return None
    above = frame.f_back
    while above is not None:
        code, offset = above.f_code, above.f_lasti
        if is_handler(code):
            return above if _gives(code, offset, (code.co_varnames[_OPERATION],)) else None
        if not _gives_own(code, offset):
            return None
        above = above.f_back
    return None


@functools.lru_cache(maxsize=4096)
def calls_own(code: CodeType, offset: int) -> bool:
    """Whether what a function calls here is an argument of its own."""
    return _calls(code, offset, _parameters(code))


@functools.lru_cache(maxsize=4096)
def _gives_own(code: CodeType, offset: int) -> bool:
    return _gives(code, offset, _parameters(code))


def _parameters(code: CodeType) -> tuple[str, ...]:
    more = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + more]


def _calls(code: CodeType, offset: int, names: Collection[str]) -> bool:
    """Whether what is called here goes by one of these names."""
    steps = list(dis.get_instructions(code))
    call = next((step for step in reversed(steps) if step.offset <= offset), None)
    return call is not None and _is_of(steps, call, names)


def _is_of(steps: Sequence[dis.Instruction], call: dis.Instruction, names: Collection[str]) -> bool:
    """Whether nothing but such a name stands at the very beginning of a call: no attribute of it, no other call."""
    begin = _begin(call)
    before = [step for step in steps if step.offset < call.offset and None not in begin and _begin(step) == begin]
    is_more = any(step.opname.startswith(_MORE) for step in before)
    return not is_more and any(_loads(step, names) for step in before)


def _gives(code: CodeType, offset: int, names: Collection[str]) -> bool:
    """Whether what is called here is given something that goes by one of these names."""
    steps = list(dis.get_instructions(code))
    call = next((step for step in reversed(steps) if step.offset <= offset), None)
    if call is None or None in (begin := _begin(call)) or None in (end := _end(call)):
        return False
    inside = (step for step in steps if step.offset < offset and _loads(step, names) and None not in _begin(step))
    return any(begin < _begin(step) and _end(step) <= end for step in inside)


def _loads(step: dis.Instruction, names: Collection[str]) -> bool:
    return step.opname.startswith("LOAD_") and step.argval in names


def _begin(step: dis.Instruction) -> _Place:
    return (step.positions.lineno, step.positions.col_offset) if step.positions is not None else (None, None)


def _end(step: dis.Instruction) -> _Place:
    at = step.positions
    return (at.end_lineno, at.end_col_offset) if at is not None else (None, None)
