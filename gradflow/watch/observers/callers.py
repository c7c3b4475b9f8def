"""Who asks: whether torch itself registers a hook, and whether a gradient is only asked for being there."""

from __future__ import annotations

import dis
import functools
import itertools
from types import CodeType, FrameType

from gradflow.location import is_machinery, own_directory

__all__ = ["caller_of", "is_guard", "is_within_torch"]


_OWN = own_directory()


def caller_of(frame: FrameType | None) -> FrameType | None:
    """The innermost frame, from ``frame`` upwards, that is not gradflow's own."""
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    return frame


def is_within_torch(frame: FrameType | None) -> bool:
    """Whether torch itself registers a hook, as ``gradcheck`` does."""
    while frame is not None and frame.f_code.co_filename.endswith(("overrides.py", "_tensor.py")):
        frame = frame.f_back
    return frame is not None and is_machinery(frame.f_code.co_filename)


_REWRITTEN = "@py_"
"""How pytest names the variables that its rewritten assertions keep."""


@functools.lru_cache(maxsize=2048)
def is_guard(code: CodeType, offset: int) -> bool:
    """Whether what was read is only asked for being there, as in ``if p.grad is not None``."""
    following = [step for step in dis.get_instructions(code) if step.offset > offset and step.opname != "CACHE"][:12]
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
