"""Who asks: whether torch itself registers a hook, and whether a gradient is wanted or only asked for being there."""

from __future__ import annotations

import dis
import functools
import itertools
import unittest
from types import CodeType, FrameType

import torch.overrides

from gradflow.handing_on import behind_helpers, hands_on, is_handler
from gradflow.location import is_machinery, own_directory

__all__ = ["accepts_nothing", "caller_of", "is_guard", "is_guarded_once_named", "is_within_torch", "only_asks_presence"]


_OWN = own_directory()
_IN_BETWEEN = {torch.overrides.__file__, torch.Tensor.backward.__code__.co_filename}
"""Torch's own files through which a method of a tensor comes to a mode, whoever has called it."""


def caller_of(frame: FrameType | None) -> FrameType | None:
    """The innermost frame, from ``frame`` upwards, that is not gradflow's own, nor one that hands on what torch did."""
    while frame is not None:
        handler = _handler_of(frame)
        if handler is not None:
            frame = _past_torchs_dispatch(handler.f_back)
        elif frame.f_code.co_filename.startswith(_OWN):
            frame = frame.f_back
        else:
            break
    return frame


def _handler_of(frame: FrameType) -> FrameType | None:
    """The handler whose operation is called in a frame, be it its own."""
    if is_handler(frame.f_code):
        return frame if hands_on(frame.f_code, frame.f_lasti) else None
    return behind_helpers(frame)


def _past_torchs_dispatch(frame: FrameType | None) -> FrameType | None:
    """The methods of a tensor that are written in Python ask for modes themselves, and are called again by these."""
    while frame is not None and frame.f_code.co_filename in _IN_BETWEEN:
        frame = frame.f_back
    return frame


def is_within_torch(frame: FrameType | None) -> bool:
    """Whether torch itself registers a hook, as ``gradcheck`` does."""
    while frame is not None and frame.f_code.co_filename in _IN_BETWEEN:
        frame = frame.f_back
    return frame is not None and is_machinery(frame.f_code.co_filename)


_REWRITTEN = "@py_"
"""How pytest names the variables that its rewritten assertions keep."""


@functools.lru_cache(maxsize=2048)
def is_guard(code: CodeType, offset: int) -> bool:
    """Whether what was read is only asked for being there, as in ``if p.grad is not None``."""
    return _is_tested(_following(code, offset))


@functools.lru_cache(maxsize=2048)
def is_guarded_once_named(code: CodeType, offset: int) -> bool:
    """Whether what was read gets a name, and the next thing is to ask whether it is there: `g = p.grad; if g is None`.

    One that is there goes on to be used.
    """
    following = _following(code, offset)
    if len(following) < 3:
        return False
    names = [step.opname for step in following[:2]]
    if names[0].startswith("STORE_FAST_LOAD_FAST"):
        stored, loaded = following[0].argval
        return stored == loaded and _is_tested(following[1:])
    if names[0] == "COPY" and names[1].startswith("STORE_"):
        return _is_tested(following[2:])
    is_bound = names[0].startswith("STORE_") and names[1].startswith("LOAD_")
    return is_bound and following[0].argval == following[1].argval and _is_tested(following[2:])


def _following(code: CodeType, offset: int) -> list[dis.Instruction]:
    return [step for step in dis.get_instructions(code) if step.offset > offset and step.opname != "CACHE"][:12]


def _is_tested(following: list[dis.Instruction]) -> bool:
    for step, after in itertools.pairwise(following):
        if step.opname in {"POP_JUMP_FORWARD_IF_NOT_NONE", "POP_JUMP_IF_NOT_NONE"}:
            # `assert p.grad is not None` wants the gradient itself
            return after.opname != "LOAD_ASSERTION_ERROR"
        if step.opname.startswith("POP_JUMP"):
            return True
        if step.opname == "IS_OP" and str(after.argval).startswith(_REWRITTEN):
            return step.arg == 0
        is_rewritten = str(step.argval).startswith(_REWRITTEN)
        if step.opname not in ("LOAD_CONST", "IS_OP", "TO_BOOL", "COPY", "NOP") and not is_rewritten:
            return False
    return False


@functools.lru_cache(maxsize=2048)
def only_asks_presence(code: CodeType, offset: int) -> bool:
    """Whether what was read is compared with ``None`` and then gone, as in ``frozen = p.grad is None``."""
    following = _after(code, offset)
    if len(following) < 2:
        return False
    first, second = following[:2]
    if first.opname.endswith(("_IF_NONE", "_IF_NOT_NONE")):
        return second.opname != "LOAD_ASSERTION_ERROR"
    return _is_nothing(first) and second.opname in ("IS_OP", "COMPARE_OP")


@functools.lru_cache(maxsize=2048)
def accepts_nothing(code: CodeType, offset: int) -> bool:
    """Whether what was read goes straight into an assertion of ``unittest`` that holds for ``None``."""
    following = _after(code, offset)
    count = 1 + (bool(following) and _is_nothing(following[0]))
    calls = following[count - 1 : count]
    if not calls or calls[0].opname not in ("PRECALL", "CALL") or calls[0].arg != count:
        return False
    before = [step for step in dis.get_instructions(code) if step.offset < offset]
    for step in reversed(before):
        if step.argval in vars(unittest.TestCase):
            return _holds_for_nothing(step.argval, count)
        if step.opname in ("PUSH_NULL", "LOAD_METHOD") or (step.opname == "LOAD_GLOBAL" and (step.arg or 0) & 1):
            return False  # another function gets it
    return False


def _is_nothing(step: dis.Instruction) -> bool:
    return step.opname == "LOAD_CONST" and step.argval is None


def _after(code: CodeType, offset: int) -> list[dis.Instruction]:
    """The next steps, without those that only arrange."""
    following = (step for step in dis.get_instructions(code) if step.offset > offset)
    return [step for step in following if step.opname not in ("CACHE", "NOP", "COPY", "TO_BOOL")][:4]


@functools.lru_cache(maxsize=64)
def _holds_for_nothing(assertion: str, count: int) -> bool:
    """Ask the assertion itself."""
    if not assertion.startswith("assert"):
        return False
    try:
        getattr(unittest.TestCase(), assertion)(*[None] * count)
    except (AssertionError, TypeError):
        return False
    return True
