"""Calls of modules, as they are recorded and as they are afterwards."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CallRow", "ModuleCall"]


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


@dataclass(slots=True)
class CallRow:
    """A :class:`ModuleCall` while it is recorded; ``end_operation`` is -1 until it ends."""

    id: int
    module: str
    type_name: str
    parent: int
    site: int
    first_operation: int
    end_operation: int = -1
    outputs: tuple[int, ...] = ()
    raised: str = ""

    def finished(self) -> ModuleCall:
        """The call as it is now."""
        return ModuleCall(
            id=self.id,
            module=self.module,
            type_name=self.type_name,
            parent=self.parent,
            site=self.site,
            first_operation=self.first_operation,
            end_operation=self.end_operation,
            outputs=self.outputs,
            raised=self.raised,
        )
