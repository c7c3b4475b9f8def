"""A method ``backward`` of a module class of the program's: autograd never calls one, whatever it is meant to do."""

from __future__ import annotations

import inspect
from types import CodeType

from gradflow.location import SourceSpan, is_installed
from gradflow.recording.program.events import OwnBackward

__all__ = ["own_backward"]

_ASKING = frozenset({"backward", "autograd"})


def own_backward(cls: type) -> OwnBackward | None:
    """The method, where it could be meant as a formula; not where a base of the class gives it a meaning.

    One that asks autograd for gradients itself is a way to begin a backward pass, and no step within one.
    """
    code = getattr(vars(cls).get("backward"), "__code__", None)
    if not isinstance(code, CodeType) or is_installed(code.co_filename):
        return None
    if any("backward" in vars(base) for base in cls.__mro__[1:] if base is not object):
        return None
    if not _ASKING.isdisjoint(code.co_names):
        return None
    defaults = getattr(vars(cls)["backward"], "__defaults__", None) or ()
    most = code.co_argcount - 1
    return OwnBackward(
        span=SourceSpan(path=code.co_filename, line=code.co_firstlineno, function=code.co_qualname),
        least=most - len(defaults),
        most=-1 if code.co_flags & inspect.CO_VARARGS else most,
    )
