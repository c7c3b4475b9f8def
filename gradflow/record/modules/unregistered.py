"""Finds parameters that a model does not know of: layers and tensors in plain lists and dictionaries."""

from __future__ import annotations

import ast
from collections import UserDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import torch

from gradflow.load.module_tree import buffers_in, modules_in, named_modules_in, named_parameters_in, parameters_in
from gradflow.location import SourceSpan
from gradflow.record.modules.containers import are_all_modules, working_key
from gradflow.record.operations.tensor_facts import is_leaf, requires_grad
from gradflow.recording.holders import Holder
from gradflow.source.class_source import class_source

__all__ = ["assignment_of", "find_unregistered"]

_CONTAINERS = (list, tuple, set, Mapping, UserDict)
_FOLLOWED = (torch.Tensor, torch.nn.Module, Mapping, list, tuple, set)
# what `nn.Module` itself keeps in an instance
_OWN_ATTRIBUTES = frozenset(vars(torch.nn.Module()))


def find_unregistered(model: torch.nn.Module) -> tuple[tuple[Holder, Mapping[str, torch.Tensor]], ...]:
    """Every tensor that requires grad and hangs on a module's attribute, but is not in ``model.parameters()``.

    One entry per attribute, with its tensors by name. What is registered elsewhere as well is left out.
    """
    known = {id(parameter) for parameter in parameters_in(model)} | {id(buffer) for buffer in buffers_in(model)}
    modules = {id(module) for module in modules_in(model)}
    found = []
    for owner, module in named_modules_in(model):
        for attribute, value in list(vars(module).items()):
            if attribute in _OWN_ATTRIBUTES:
                continue
            tensors: dict[str, torch.Tensor] = {}
            is_layers = False
            for path, tensor, is_layer in _leaves(value, modules, frozenset()):
                if id(tensor) not in known:
                    known.add(id(tensor))
                    tensors[".".join(part for part in (owner, attribute, path) if part)] = tensor
                    is_layers = is_layers or is_layer
            if tensors:
                items = dict(_items(value))
                is_mapping = isinstance(value, (Mapping, UserDict))
                holder = Holder(
                    owner=owner,
                    owner_type=type(module).__name__,
                    attribute=attribute,
                    container=type(value).__name__ if isinstance(value, _CONTAINERS) else "",
                    is_layers=is_layers,
                    names=tuple(tensors),
                    span=assignment_of(type(module), attribute),
                    key=working_key(_keys(value), of_modules=is_layers) if is_mapping else "",
                    is_flat=not is_layers or are_all_modules(items.values()),
                )
                found.append((holder, tensors))
    return tuple(found)


def _leaves(value: Any, modules: set[int], around: frozenset[int]) -> Iterator[tuple[str, torch.Tensor, bool]]:
    """Path, tensor, and whether it belongs to a module, for each trainable leaf inside a value."""
    if isinstance(value, torch.Tensor):
        if is_leaf(value) and requires_grad(value):
            yield "", value, False
    elif isinstance(value, torch.nn.Module):
        # a module that is registered elsewhere is only referred to here
        if id(value) not in modules:
            for name, parameter in named_parameters_in(value):
                if requires_grad(parameter):
                    yield name, parameter, True
    elif id(value) not in around:  # what holds itself has been seen
        for key, item in _items(value):
            for path, tensor, is_layer in _leaves(item, modules, around | {id(value)}):
                yield ".".join(part for part in (key, path) if part), tensor, is_layer


def _items(value: Any) -> list[tuple[str, Any]]:
    """What lies in a container, read past its class: a mapping of the program's own may do anything when it is read."""
    if isinstance(value, UserDict):
        value = object.__getattribute__(value, "__dict__").get("data")
    if isinstance(value, dict):
        return [(str(key), item) for key, item in dict.items(value)] if _holds_any(dict.values(value)) else []
    kinds: tuple[Any, ...] = (list, tuple, set)
    for kind in kinds:
        if isinstance(value, kind):
            items = [*kind.__iter__(value)]
            return [(str(number), item) for number, item in enumerate(items)] if _holds_any(items) else []
    return []


def _keys(value: Any) -> list[Any]:
    """The keys of a mapping, read past its class."""
    if isinstance(value, UserDict):
        value = object.__getattribute__(value, "__dict__").get("data")
    return list(dict.keys(value)) if isinstance(value, dict) else []


def _holds_any(items: Collection[Any]) -> bool:
    """Whether anything among the items is to be followed; by their types, because a vocabulary has many of few."""
    return any(issubclass(kind, _FOLLOWED) for kind in set(map(type, items)))


def assignment_of(owner: type, attribute: str) -> SourceSpan | None:
    """Where the methods of a class set the attribute; else where they fill it, as by ``self.convs.append(...)``."""
    source = class_source(owner)
    if source is None:
        return None
    filled: SourceSpan | None = None
    for method in source.methods:
        for node in ast.walk(method.node):
            match node:
                case ast.Assign(targets=targets) | ast.AnnAssign(target=ast.Attribute() as targets) if any(
                    _is_attribute(target, method.self_name, attribute)
                    for target in _single(targets if isinstance(targets, list) else [targets])
                ):
                    return method.span(node)
                case ast.Call(func=ast.Attribute(value=inner, attr="append" | "extend" | "insert" | "update")) if (
                    _is_attribute(inner, method.self_name, attribute)
                ):
                    filled = filled or method.span(node)
    return filled


def _single(targets: Iterable[ast.expr]) -> Iterator[ast.expr]:
    """What is set, also in ``self.a, self.b = ...``."""
    for target in targets:
        if isinstance(target, (ast.Tuple, ast.List)):
            yield from _single(target.elts)
        else:
            yield target.value if isinstance(target, ast.Starred) else target


def _is_attribute(node: ast.expr, self_name: str, attribute: str) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == attribute
        and isinstance(node.value, ast.Name)
        and node.value.id == self_name
    )
