"""The backward hooks that sit on a model's parameters and modules, and leaving them out for the time of a run."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any, Literal

import torch

from gradflow.attributes import attributes_of
from gradflow.load.module_tree import named_modules_in, named_parameters_in
from gradflow.location import SourceSpan
from gradflow.source.callables import code_of
from gradflow.source.class_source import parse_file, span_of_node
from gradflow.torch_facts.tensor_slots import getter

__all__ = ["PlacedHook", "hooks_on", "left_out", "registration_of"]

_hooks_of_tensor = getter("_backward_hooks")
_OF_MODULES = ("_backward_hooks", "_backward_pre_hooks")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedHook:
    """A hook, the table that torch finds it in, and its key there."""

    kind: Literal["parameter", "module"]
    owner: str
    table: Any
    key: Any
    hook: Any


def hooks_on(model: torch.nn.Module) -> list[PlacedHook]:
    """All backward hooks on the parameters and modules of a model, in order."""
    found: list[PlacedHook] = []
    for name, parameter in named_parameters_in(model):
        found += _placed("parameter", name, _hooks_of_tensor(parameter))
    for name, module in named_modules_in(model):
        for attribute in _OF_MODULES:
            found += _placed("module", name, attributes_of(module).get(attribute))
    return found


def _placed(kind: Literal["parameter", "module"], owner: str, table: Any) -> list[PlacedHook]:
    if not isinstance(table, dict):
        return []
    return [PlacedHook(kind=kind, owner=owner, table=table, key=key, hook=hook) for key, hook in list(table.items())]


@contextlib.contextmanager
def left_out(hooks: Collection[PlacedHook]) -> Iterator[None]:
    """Take hooks out of their tables; afterwards each table holds what it held, in its order."""
    tables = {id(one.table): one.table for one in hooks}
    held = {key: list(table.items()) for key, table in tables.items()}
    try:
        for one in hooks:
            one.table.pop(one.key, None)
        yield
    finally:
        for key, table in tables.items():
            added = [entry for entry in table.items() if entry[0] not in dict(held[key])]
            table.clear()
            table.update([*held[key], *added])


def registration_of(hook: Any) -> SourceSpan | None:
    """The one call in the hook's own file that can have registered it; ``None`` where there are several, or none."""
    code = code_of(hook)
    tree = parse_file(code.co_filename) if code is not None else None
    if code is None or tree is None:
        return None
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _registers(node, code)]
    return span_of_node(code.co_filename, calls[0]) if len(calls) == 1 else None


def _registers(call: ast.Call, code: CodeType) -> bool:
    """Whether a call of a method named `register...hook` is given the code, by its name or written out."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr.startswith("register")):
        return False
    if "hook" not in call.func.attr:
        return False
    for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
        for node in ast.walk(argument):
            match node:
                case ast.Lambda():
                    if code.co_name == "<lambda>" and node.lineno == code.co_firstlineno:
                        return True
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    if name == code.co_name:
                        return True
    return False
