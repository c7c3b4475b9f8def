"""What stands on the stack of a pickle and is not yet a value of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["DamagedError", "Draft", "MissingPackageError", "Name", "RefusedError", "Unsettled", "settled"]

_ABSENT = object()
_MOST_NESTED = 20
_LONGEST_NAME = 200


class RefusedError(Exception):
    """The pickle asks for something that could run code; ``name`` is what it names, ``reason`` why not.

    ``is_name`` is ``False`` where there is no such name, and ``name`` says in words what it is.
    """

    def __init__(self, name: str, reason: str) -> None:
        name = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
        self.is_name = " " not in name
        super().__init__(f"`{name}` {reason}" if self.is_name else f"{name} {reason}")
        self.name, self.reason = name, reason


class DamagedError(Exception):
    """The pickle is not what a pickler writes."""


class MissingPackageError(Exception):
    """The library that a name belongs to is not installed; its name is the argument."""


class Draft:
    """A thing of which more is to come: what can be done to it, nothing by default."""

    described = "a part of the file"

    def call(self, arguments: tuple[Any, ...]) -> Any:
        """What REDUCE gives."""
        raise RefusedError(self.described, "is called by the file")

    def make(self, arguments: tuple[Any, ...]) -> Any:
        """What NEWOBJ gives: an object whose constructor has not run."""
        raise RefusedError(self.described, "is no class that a file may restore")

    def build(self, state: Any) -> None:
        """Take the state of BUILD."""
        raise RefusedError(self.described, "is given a state by the file")

    def settle(self) -> Any:
        """The value, where the thing itself is one."""
        raise RefusedError(self.described, "is held as a value by the file")


class Name(Draft):
    """An entry of the lists: a name, and what may be done with what it stands for.

    Parameters
    ----------
    described
        ``module.name``.
    call, make
        Functions that take the arguments as one tuple; absent where the file may not do that.
    value
        The object itself where a file may hold it.
    """

    def __init__(
        self,
        described: str,
        *,
        call: Callable[[tuple[Any, ...]], Any] | None = None,
        make: Callable[[tuple[Any, ...]], Any] | None = None,
        value: Any = _ABSENT,
    ) -> None:
        self.described = described
        self._call, self._make, self._value = call, make, value

    def call(self, arguments: tuple[Any, ...]) -> Any:
        """Call it as the list says."""
        return super().call(arguments) if self._call is None else self._call(arguments)

    def make(self, arguments: tuple[Any, ...]) -> Any:
        """Make it as the list says."""
        return super().make(arguments) if self._make is None else self._make(arguments)

    def settle(self) -> Any:
        """The object itself."""
        return super().settle() if self._value is _ABSENT else self._value


class Unsettled(tuple[Any, ...]):  # noqa: SLOT001 - it keeps what it settles to, and tuples cannot have slots
    """A tuple with drafts in it: the arguments of a call, mostly. What it settles to is worked out once."""

    value: tuple[Any, ...] | None = None


def settled(value: Any, depth: int = 0) -> Any:
    """The value without drafts.

    Raises
    ------
    RefusedError
        When a draft in it is no value.
    DamagedError
        When tuples of drafts are nested deeper than any pickler writes them.
    """
    if isinstance(value, Draft):
        return value.settle()
    if type(value) is not Unsettled:
        return value
    if depth > _MOST_NESTED:
        raise DamagedError("tuples of names are nested too deeply")
    if value.value is None:
        value.value = tuple(settled(item, depth + 1) for item in value)
    return value.value
