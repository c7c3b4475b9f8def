"""What an object of the file may have as attributes."""

from __future__ import annotations

from typing import Any

from gradflow.load.files.pickles.draft import DamagedError, RefusedError

__all__ = ["check_attributes"]


def check_attributes(cls: type, state: Any) -> None:
    """Whether ``state`` may become the attributes of an object of ``cls``.

    An attribute of an object hides the method of the same name of its class; whoever calls the method would call what
    the file has put there.

    Raises
    ------
    RefusedError
        When one hides a method or a descriptor, or something that can be called hides anything.
    DamagedError
        When ``state`` is no dictionary of attributes.
    """
    if type(state) is not dict:
        raise DamagedError(f"the state of a `{cls.__qualname__}` is not a dictionary of attributes")
    for name, value in state.items():
        if type(name) is not str:
            raise DamagedError(f"an attribute of a `{cls.__qualname__}` has no name")
        described = f"{cls.__module__}.{cls.__qualname__}.{name}"
        if name.startswith("__") and callable(value):  # torch.jit leaves tables under such names
            raise RefusedError(described, "is special to Python")
        found = _of_class(cls, name)
        if found is not None and (_does_something(found.value) or callable(value)):
            raise RefusedError(described, "is hidden by the file with something else")


class _Found:
    def __init__(self, value: Any) -> None:
        self.value = value


def _of_class(cls: type, name: str) -> _Found | None:
    return next((_Found(vars(base)[name]) for base in cls.__mro__ if name in vars(base)), None)


def _does_something(value: Any) -> bool:
    """Whether Python runs code when this attribute is read or called."""
    kind = type(value)
    return callable(value) or any(hasattr(kind, special) for special in ("__get__", "__set__", "__delete__"))
