"""Calls of modules, as they are recorded and as they are afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

__all__ = ["CallColumns", "ModuleCall", "ModuleCalls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleCall:
    """One call of a module's ``forward``; ``-1`` stands for "none" in ``parent`` and ``site``.

    Operations ``first_operation <= i < end_operation`` were recorded during the call; ``outputs`` are the value ids
    of the tensors that it returned; ``raised`` is the type of the exception that ended it, or empty.
    """

    id: int
    module: str
    type_name: str
    parent: int
    site: int
    first_operation: int
    end_operation: int
    outputs: tuple[int, ...]
    raised: str = ""


@dataclass(slots=True, kw_only=True)
class CallColumns:
    """Calls while they are recorded, as parallel lists; ``end_operation`` is -1 until a call ends.

    ``raised`` has only those that raised. An object for each call would cost more time and memory than all else that
    is noted of it.
    """

    module: list[str] = field(default_factory=list)
    type_name: list[str] = field(default_factory=list)
    parent: list[int] = field(default_factory=list)
    site: list[int] = field(default_factory=list)
    first_operation: list[int] = field(default_factory=list)
    end_operation: list[int] = field(default_factory=list)
    outputs: list[tuple[int, ...]] = field(default_factory=list)
    raised: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.module)

    def copy(self) -> CallColumns:
        """All calls as they are now."""
        return CallColumns(
            module=self.module.copy(),
            type_name=self.type_name.copy(),
            parent=self.parent.copy(),
            site=self.site.copy(),
            first_operation=self.first_operation.copy(),
            end_operation=self.end_operation.copy(),
            outputs=self.outputs.copy(),
            raised=self.raised.copy(),
        )

    def finished(self) -> tuple[ModuleCall, ...]:
        """The calls as they are now, one object each."""
        return tuple(
            ModuleCall(
                id=number,
                module=module,
                type_name=self.type_name[number],
                parent=self.parent[number],
                site=self.site[number],
                first_operation=self.first_operation[number],
                end_operation=self.end_operation[number],
                outputs=self.outputs[number],
                raised=self.raised.get(number, ""),
            )
            for number, module in enumerate(self.module)
        )


class ModuleCalls(Sequence[ModuleCall]):
    """The calls of a run; the objects are made when the first one is asked for, and their columns are let go of."""

    __slots__ = ("_columns", "_made")

    def __init__(self, columns: CallColumns) -> None:
        self._columns: CallColumns | None = columns.copy()
        self._made: tuple[ModuleCall, ...] = ()

    def _all(self) -> tuple[ModuleCall, ...]:
        columns = self._columns
        if columns is not None:
            self._made = columns.finished()
            self._columns = None
        return self._made

    def __len__(self) -> int:
        return len(self._made) if self._columns is None else len(self._columns)

    @overload
    def __getitem__(self, index: int) -> ModuleCall: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[ModuleCall, ...]: ...

    def __getitem__(self, index: int | slice) -> ModuleCall | tuple[ModuleCall, ...]:
        return self._all()[index]

    def __iter__(self) -> Iterator[ModuleCall]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return self._all() == (other._all() if isinstance(other, ModuleCalls) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._all())
