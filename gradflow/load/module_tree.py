"""How deep modules are nested, and how many calls one call of a model comes to; found out without recursion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

__all__ = ["MOST_NESTED", "CircularModulesError", "ModuleTree", "measure_modules"]

MOST_NESTED = 200
"""Modules inside one another: torch calls them so too, and Python has room for about a thousand calls."""

_ENOUGH = 2**62


class CircularModulesError(Exception):
    """A module is registered inside itself; ``module`` is that one."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__(f"a `{type(module).__name__}` is registered as a module inside itself")
        self.module = module


@dataclass(frozen=True, slots=True)
class ModuleTree:
    """How deep modules are nested, and how many there are, one that is shared counted as often as it is reached."""

    depth: int
    calls: int


def measure_modules(roots: Iterable[nn.Module]) -> ModuleTree:
    """The largest depth and the largest count below any of ``roots``, themselves included.

    Raises
    ------
    CircularModulesError
        When one contains itself.
    """
    measured: dict[int, ModuleTree] = {}
    largest = ModuleTree(0, 0)
    for root in roots:
        _measure(root, measured)
        found = measured[id(root)]
        largest = ModuleTree(max(largest.depth, found.depth), max(largest.calls, found.calls))
    return largest


def _measure(root: nn.Module, measured: dict[int, ModuleTree]) -> None:
    open_: set[int] = set()
    pending = [(root, False)]
    while pending:
        module, is_left = pending.pop()
        # `children()` would leave out one that is there twice
        children = [child for child in module._modules.values() if child is not None]
        if is_left:
            open_.discard(id(module))
            below = [measured[id(child)] for child in children]
            depth = 1 + max((child.depth for child in below), default=0)
            measured[id(module)] = ModuleTree(depth, min(1 + sum(child.calls for child in below), _ENOUGH))
        elif id(module) in open_:
            raise CircularModulesError(module)
        elif id(module) not in measured:
            open_.add(id(module))
            pending.append((module, True))
            pending.extend((child, False) for child in children)
