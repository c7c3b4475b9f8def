"""The modules and parameters that are registered in a model, and how deep they are nested; found without recursion.

Read from the tables that ``nn.Module`` keeps, because a model may define ``named_parameters`` and its like anew: with
other arguments, counting its calls, leaving things out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

__all__ = [
    "MOST_NESTED",
    "CircularModulesError",
    "ModuleTree",
    "buffers_in",
    "buffers_of",
    "measure_modules",
    "modules_in",
    "named_buffers_in",
    "named_modules_in",
    "named_parameters_in",
    "own_modules",
    "own_parameters",
    "parameters_in",
    "parameters_of",
]

MOST_NESTED = 200
"""Modules inside one another: torch calls them so too, and Python has room for about a thousand calls."""

_ENOUGH = 2**62
_attributes: Any = object.__getattribute__


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


def named_modules_in(root: nn.Module, *, remove_duplicate: bool = True) -> Iterator[tuple[str, nn.Module]]:
    """As ``nn.Module.named_modules``: the root first, each module before those within it."""
    return _named_once(root) if remove_duplicate else _under_all_names(root)


def modules_in(root: nn.Module) -> Iterator[nn.Module]:
    """Every module, the root first, each once."""
    return (module for _, module in _named_once(root))


def _named_once(root: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    seen: set[int] = set()
    pending: list[tuple[str, nn.Module]] = [("", root)]
    while pending:
        name, module = pending.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        yield name, module
        pending += _children(name, module)


def _under_all_names(root: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    pending: list[tuple[str, nn.Module, frozenset[int]]] = [("", root, frozenset())]
    while pending:
        name, module, around = pending.pop()
        # one that holds itself would come up for ever
        if id(module) in around:
            continue
        yield name, module
        if children := _children(name, module):
            inside = around | {id(module)}
            pending += [(key, child, inside) for key, child in children]


def _children(name: str, module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules in one, the last first, by their own names behind its."""
    held = _table(module, "_modules")
    if not held:
        return []
    before = f"{name}." if name else ""
    return [(f"{before}{key}", child) for key, child in reversed(list(held.items())) if child is not None]


def named_parameters_in(root: nn.Module, *, remove_duplicate: bool = True) -> Iterator[tuple[str, nn.Parameter]]:
    """As ``nn.Module.named_parameters``."""
    return _named_tensors(root, "_parameters", remove_duplicate)


def named_buffers_in(root: nn.Module, *, remove_duplicate: bool = True) -> Iterator[tuple[str, torch.Tensor]]:
    """As ``nn.Module.named_buffers``."""
    return _named_tensors(root, "_buffers", remove_duplicate)


def parameters_in(root: nn.Module) -> Iterator[nn.Parameter]:
    """Every parameter, each once."""
    return (parameter for _, parameter in named_parameters_in(root))


def buffers_in(root: nn.Module) -> Iterator[torch.Tensor]:
    """Every buffer, each once."""
    return (buffer for _, buffer in named_buffers_in(root))


def parameters_of(modules: Iterable[tuple[str, nn.Module]]) -> Iterator[tuple[str, nn.Parameter]]:
    """Those of modules that were found, each once, under the first name that it has."""
    return _tensors_of(modules, "_parameters", remove_duplicate=True)


def buffers_of(modules: Iterable[tuple[str, nn.Module]]) -> Iterator[tuple[str, torch.Tensor]]:
    """Those of modules that were found, each once, under the first name that it has."""
    return _tensors_of(modules, "_buffers", remove_duplicate=True)


def own_parameters(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The parameters that are registered in a module itself, by name."""
    return [(name, parameter) for name, parameter in _table(module, "_parameters").items() if parameter is not None]


def own_modules(module: nn.Module) -> dict[str, nn.Module]:
    """The modules that are registered in a module itself, by name; an attribute of that name may be something else."""
    return {name: child for name, child in _table(module, "_modules").items() if child is not None}


def _named_tensors(root: nn.Module, table: str, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
    return _tensors_of(named_modules_in(root, remove_duplicate=remove_duplicate), table, remove_duplicate)


def _tensors_of(
    modules: Iterable[tuple[str, nn.Module]], table: str, remove_duplicate: bool
) -> Iterator[tuple[str, Any]]:
    seen: set[int] = set()
    for prefix, module in modules:
        held = _table(module, table)
        for name, tensor in list(held.items()) if held else ():
            if tensor is None or (remove_duplicate and id(tensor) in seen):
                continue
            seen.add(id(tensor))
            yield f"{prefix}.{name}" if prefix else name, tensor


def _table(module: nn.Module, name: str) -> Any:
    """A table of a module; scripted modules keep theirs elsewhere, and answer as modules do."""
    held = _attributes(module, "__dict__").get(name)
    if held is None and isinstance(module, torch.jit.ScriptModule):
        held = getattr(module, name, None)
    return {} if held is None else held
