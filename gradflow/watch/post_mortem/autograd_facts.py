"""What autograd knows of a tensor, read from the tensor and its graph; nothing is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import FunctionType, MethodType
from typing import Any

import torch

from gradflow.record.backward.walk import Node, walk_from
from gradflow.record.operations.tensor_facts import is_leaf
from gradflow.torch_facts.function_modes import past_classes
from gradflow.torch_facts.messages import of_backward
from gradflow.torch_facts.nodes import packed, saved, saved_tensors
from gradflow.watch.post_mortem.look import MISSING, is_module, is_tensor, unwrapped

__all__ = [
    "Holds",
    "carries_history",
    "contains",
    "describe",
    "frozen_count",
    "grad_fn_of",
    "holds",
    "is_freed",
    "nodes_behind",
    "parameters_of",
]

NODES = 3_000
"""Larger graphs are not touched: a graph whose every node Python has seen recurses when it is freed."""

_MEMBERS = 200

Holds = Callable[[Any], bool | None]
"""Whether a value has what is looked for; ``None`` where that cannot be told."""


def grad_fn_of(tensor: torch.Tensor) -> Node | None:
    """``grad_fn``; ``None`` also where torch refuses to tell, as of some views that were written to."""
    with past_classes():
        try:
            return tensor.grad_fn
        except RuntimeError:
            return None


def nodes_behind(tensor: torch.Tensor) -> list[Node] | None:
    """The nodes of the graph behind a tensor; ``None`` where there is none or it is too large to be looked at."""
    root = grad_fn_of(tensor)
    return walk_from((root,), limit=NODES) if root is not None else None


def contains(root: torch.Tensor, target: torch.Tensor) -> bool | None:
    """Whether a gradient of ``root`` reaches ``target`` by autograd's graph."""
    if root is target:
        return True
    if not root.requires_grad or not target.requires_grad:
        return False
    if grad_fn_of(root) is None:
        return False
    nodes = nodes_behind(root)
    if nodes is None:
        return None
    if is_leaf(target):
        return any(getattr(node, "variable", None) is target for node in nodes)
    return grad_fn_of(target) in nodes


def parameters_of(module: Any) -> Iterator[torch.Tensor]:
    """The parameters of a module and of all modules in it, read from where modules keep them."""
    waiting, seen = [module], set()
    for one in waiting:
        if id(one) in seen or not is_module(one):
            continue
        seen.add(id(one))
        own = object.__getattribute__(one, "__dict__")
        yield from (held for held in own.get("_parameters", {}).values() if held is not None)
        waiting.extend(own.get("_modules", {}).values())


def frozen_count(module: Any) -> tuple[int, int]:
    """How many of a module's parameters do not require grad, and how many it has."""
    flags = [parameter.requires_grad for parameter in parameters_of(module)]
    return flags.count(False), len(flags)


def carries_history(value: Any) -> bool | None:
    """Whether something computed from a value would be recorded: a tensor with history, a trainable module."""
    return _any_in(value, lambda tensor: tensor.requires_grad)


def holds(of_tensor: Callable[[torch.Tensor], bool | None]) -> Holds:
    """Extend a question about tensors to modules, containers and functions that hold some."""
    return lambda value: _any_in(value, of_tensor)


def _any_in(value: Any, of_tensor: Callable[[torch.Tensor], bool | None], depth: int = 0) -> bool | None:
    if is_tensor(value):
        return of_tensor(value)
    if is_module(value):
        return any(of_tensor(parameter) for parameter in parameters_of(value))
    if type(value) is MethodType:
        return _any_in(value.__self__, of_tensor, depth + 1)
    if value is None or type(value) in (int, float, bool, str, bytes, complex) or type(value).__module__ == "numpy":
        return False
    if depth > 2 or type in type(value).__mro__:
        return None
    members = _members(value)
    if members is None:
        return None
    answers = [_any_in(member, of_tensor, depth + 1) for member in members]
    return True if True in answers else None if None in answers else False


def _members(value: Any) -> list[Any] | None:
    """What a value holds, where that can be read without running code; ``None`` where it holds too much or cannot."""
    kinds = type(value).__mro__
    if dict in kinds:
        members = list(dict.values(value))
    elif list in kinds:
        members = list(list.__iter__(value))
    elif tuple in kinds:
        members = list(tuple.__iter__(value))
    elif type(value) is FunctionType:
        value = unwrapped(value)
        names = value.__code__.co_names
        members = [value.__globals__[name] for name in names if name in value.__globals__]
        members = [member for member in members if is_tensor(member) or is_module(member)]
        members += [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
    else:
        try:
            own = object.__getattribute__(value, "__dict__")
        except AttributeError:
            return None
        members = [member for member in own.values() if is_tensor(member) or is_module(member)] if own else []
    return members if len(members) <= _MEMBERS else None


def _is_filled(cell: Any) -> bool:
    try:
        held = cell.cell_contents
    except ValueError:
        return False
    return is_tensor(held) or is_module(held)


def describe(tensor: torch.Tensor) -> str:
    """A tensor in a few words: shape, type, and where it stands in autograd."""
    with past_classes():
        shape = f"[{', '.join(map(str, tensor.shape))}]" if tensor.dim() else "scalar"
        kind = str(tensor.dtype).removeprefix("torch.")
        node = grad_fn_of(tensor)
        if not tensor.requires_grad:
            state = "no history"
        elif node is None:
            state = "a leaf that requires grad"
        else:
            state = f"made by `{node.name()}`"
    return f"{shape} {kind}, {state}"


def is_freed(node: Node) -> bool | None:
    """Whether an earlier backward has freed what a node kept; ``None`` where it keeps nothing or cannot be asked."""
    for name in saved_tensors(node):
        raw = packed(node, name)
        kept = raw[0] if isinstance(raw, tuple) and raw else raw
        if getattr(kept, "unpack_hook", True) is not None:  # asking would run the program's hook
            return None
        try:
            is_there = saved(node, name, MISSING) is not MISSING
        except RuntimeError as error:
            return of_backward.GRAPH_FREED.is_in(str(error)) or None
        return False if is_there else None
    return None
