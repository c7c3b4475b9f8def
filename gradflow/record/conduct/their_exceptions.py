"""The program's exceptions, read and written past their classes: nothing of the program runs, and none is replaced.

A class of the program's may count how often it is shown, fail at that, or let nobody set an attribute, as a frozen
dataclass does.
"""

from __future__ import annotations

from types import TracebackType, WrapperDescriptorType
from typing import Any

__all__ = ["attribute_of", "is_one", "set_attribute", "set_traceback", "text_of", "traceback_of"]

_ANY: Any = BaseException
_PLAIN = (str, int, float, bool, type(None), bytes)
"""Arguments whose text Python makes by itself."""


def is_one(error: BaseException, *kinds: type[BaseException]) -> bool:
    """Whether an exception is of one of these kinds, whatever it says its class is."""
    return issubclass(type(error), kinds)


def text_of(error: BaseException) -> str:
    """``str(error)``; where the program has its own way to make that, the texts that the exception was made with."""
    made: Any = vars(BaseException)["args"].__get__(error)
    method = next(vars(cls)["__str__"] for cls in type(error).__mro__ if "__str__" in vars(cls))
    if type(method) is WrapperDescriptorType and all(type(one) in _PLAIN for one in made):
        try:
            return str(error)
        except Exception:  # noqa: BLE001  (one of Python's own that was made without what it tells)
            return ""
    return ", ".join(one for one in made if type(one) is str)


def traceback_of(error: BaseException) -> TracebackType | None:
    """``error.__traceback__``."""
    found: TracebackType | None = vars(BaseException)["__traceback__"].__get__(error)
    return found


def set_traceback(error: BaseException, traceback: TracebackType | None) -> None:
    """``error.__traceback__ = traceback``."""
    _ANY.with_traceback(error, traceback)


def attribute_of(error: BaseException, kind: type[BaseException], name: str) -> Any:
    """An attribute that a kind of Python's own exceptions has, of an exception of that kind; else ``None``."""
    return vars(kind)[name].__get__(error) if is_one(error, kind) else None


def set_attribute(error: BaseException, name: str, value: object) -> None:
    """``setattr(error, name, value)``."""
    _ANY.__setattr__(error, name, value)
