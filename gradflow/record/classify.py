"""What the recorder does with a function that torch hands to it."""

from __future__ import annotations

from typing import Any, Final

from gradflow.record.operation_kinds import (
    ALIASING,
    EXITS,
    EXPOSING,
    GETTERS_RECORDED,
    IGNORED,
    IMPORTS,
    SWITCHES,
    TELLING,
    is_inplace_name,
)

__all__ = ["Kind", "classify"]


class Kind:
    """Plain integers: comparing members of an ``Enum`` is what a hot path would notice.

    From ``EXPOSE`` on nothing is recorded but that memory, or the values as text, were given away, that a hook was
    registered, or what those say who look at a function of their own (``SPECIAL``).
    """

    PLAIN: Final = 0
    IGNORE: Final = 1
    GRAD_MODE: Final = 2
    EXIT: Final = 3
    INPLACE: Final = 4
    ALIASING: Final = 5
    IMPORT: Final = 6
    EXPOSE: Final = 7
    TELL: Final = 8
    HOOK: Final = 9
    SPECIAL: Final = 10


def classify(func: Any) -> tuple[int, str]:
    """The kind of a function and its name as torch names it; setters end in ``=``."""
    name = str(getattr(func, "__name__", func))
    if name in ("__get__", "__set__"):
        name = getattr(getattr(func, "__self__", None), "__name__", "?") + ("=" if name == "__set__" else "")
        if name == "data=":
            return Kind.INPLACE, name
        if name in SWITCHES:
            return Kind.PLAIN, name
        return (Kind.ALIASING if name in GETTERS_RECORDED else Kind.IGNORE), name
    if name == "_set_grad_enabled":
        return Kind.GRAD_MODE, name
    if name == "register_hook":
        return Kind.HOOK, name
    if name in IGNORED:
        return (Kind.EXPOSE if name in EXPOSING else Kind.TELL if name in TELLING else Kind.IGNORE), name
    if name in EXITS:
        return Kind.EXIT, name
    if is_inplace_name(name) and name != "requires_grad_":
        return Kind.INPLACE, name
    if name in IMPORTS:
        return Kind.IMPORT, name
    return (Kind.ALIASING if name in ALIASING else Kind.PLAIN), name
