"""What the recorder does with a function that torch hands to it."""

from __future__ import annotations

from typing import Any, Final

from gradflow.torch_facts.operations.queries import changes_argument, has, writes_in_place
from gradflow.torch_facts.operators import is_custom

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
        return _kind_of_property(name), name
    if name == "_set_grad_enabled":
        return Kind.GRAD_MODE, name
    return Kind.PLAIN if is_custom(func) else _kind_of(name), name


def _kind_of_property(name: str) -> int:
    if writes_in_place(name):
        return Kind.INPLACE
    if has(name, "switches"):
        return Kind.PLAIN
    return Kind.ALIASING if has(name, "getter") else Kind.IGNORE


def _kind_of(name: str) -> int:
    if name == "register_hook":
        return Kind.HOOK
    if has(name, "facts"):
        return Kind.EXPOSE if has(name, "exposes") else Kind.TELL if has(name, "tells") else Kind.IGNORE
    if has(name, "leaves"):
        return Kind.EXIT
    if changes_argument(name):
        return Kind.INPLACE
    if has(name, "imports"):
        return Kind.IMPORT
    return Kind.ALIASING if has(name, "aliases") else Kind.PLAIN
