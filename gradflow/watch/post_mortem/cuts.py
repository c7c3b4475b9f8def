"""Recognises in source code what cuts a tensor off from its history, and what never carries one."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gradflow.torch_facts.operations.queries import has, has_no_derivative, tells_no_value
from gradflow.watch.post_mortem.look import MISSING, look_up

__all__ = ["Cut", "carries_no_value", "cut_between", "is_reentrant_checkpoint", "switch_of", "switches_on"]

_COMPARED = {ast.Gt: "gt", ast.Lt: "lt", ast.GtE: "ge", ast.LtE: "le", ast.Eq: "eq", ast.NotEq: "ne"}
_WHOLE_NUMBERS = frozenset({"int64", "int32", "int16", "int8", "uint8"})
_LEGACY = frozenset({"FloatTensor", "DoubleTensor", "LongTensor"})
"""Classes of torch that make a tensor of values."""

_NO_VALUE = frozenset({
    "len", "isinstance", "range", "print", "requires_grad", "grad", "zero_grad", "append", "state_dict",
})  # fmt: skip
"""What Python, modules and optimizers have besides that does not read the values of a tensor."""


@dataclass(frozen=True, slots=True)
class Cut:
    """``cause`` in the words of the codes, ``operation`` as torch names it, ``node`` where it stands."""

    cause: str
    operation: str
    node: ast.expr


def cut_between(path: list[tuple[ast.AST, ast.AST]], names: Mapping[str, Any]) -> Cut | None:
    """The first thing on the way from a value outwards (pairs of child and parent) that cuts its history off."""
    if path and isinstance(path[0][1], ast.Call) and path[0][1].func is path[0][0]:
        path = path[1:]  # the value is what is called, not what a method is asked of
    for child, parent in path:
        match parent:
            case ast.Attribute(value=owner, attr="data") if owner is child:
                return Cut("detach", "data", parent)
            case ast.Attribute(value=ast.Call(func=ast.Attribute(attr=called)), attr="indices"):
                if has(called, "also-indices"):
                    return Cut("nondiff-op", called, parent)
            case ast.Subscript(value=owner, slice=ast.Constant(value=1)) if owner is child:
                called = _called(owner)
                if has(called, "also-indices") and _has_axis(owner):
                    return Cut("nondiff-op", called, parent)
            case ast.Compare(ops=[operator, *_]):
                name = _COMPARED.get(type(operator))
                if name is not None:
                    return Cut("nondiff-op", name, parent)
            case ast.Call() as call:
                found = _cut_of_call(call, child, names)
                if found is not None:
                    return found
    return None


def carries_no_value(path: list[tuple[ast.AST, ast.AST]]) -> bool:
    """Whether only a shape, a type or the like of a value is used."""
    for child, parent in path:
        match parent:
            case ast.Attribute(value=owner, attr=name) if owner is child and _has_no_value(name):
                return True
            case ast.Call(func=ast.Name(id=name)) if parent.func is not child and _has_no_value(name):
                return True
            case ast.Call(func=ast.Attribute(attr=name)) if (
                parent.func is not child and name != "grad" and _has_no_value(name)
            ):
                return True
            case ast.keyword(arg="dim" | "axis" | "device" | "dtype" | "size"):
                return True
            case ast.IfExp(test=test) if test is child:
                return True
            case ast.Subscript(slice=index) if index is child:
                return True
    return False


def _cut_of_call(call: ast.Call, child: ast.AST, names: Mapping[str, Any]) -> Cut | None:
    if child is call.func:
        # the value is the receiver: `value.detach()`
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if has(name, "casts") and _is_whole_number_type(call):
            return Cut("nondiff-op", name, call)
        cause = _cause_of(name)
        return Cut(cause, name, call) if cause else None
    if isinstance(call.func, ast.Name):
        name = call.func.id
        number = f"__{name}__"
        if has(number, "leaves") and look_up(call.func, names) is MISSING:
            return Cut("numpy-roundtrip", number, call)
        owner = ""
    elif isinstance(call.func, ast.Attribute):
        name, owner = call.func.attr, _package(call.func.value, names)
    else:
        return None
    if owner in ("numpy", "math"):
        return Cut("numpy-roundtrip", "numpy" if owner == "numpy" else "__float__", call)
    if name == "grad" and owner == "torch" and not any(one.arg == "create_graph" for one in call.keywords):
        return Cut("graph-freed", "grad", call)
    if (has(name, "rewraps") or name in _LEGACY) and (owner == "torch" or not owner):
        return Cut("tensor-rewrap", name, call)
    if owner == "torch" and _cause_of(name) in ("nondiff-op", "detach"):
        return Cut(_cause_of(name), name, call)
    return None


def _cause_of(name: str) -> str:
    """Which cut a method or function of this name is; empty for none."""
    if has(name, "detaches"):
        return "detach"
    if has(name, "number", "array"):
        return "numpy-roundtrip"
    return "nondiff-op" if has_no_derivative(name) else ""


def _has_no_value(name: str) -> bool:
    return name in _NO_VALUE or tells_no_value(name)


def _package(owner: ast.expr, names: Mapping[str, Any]) -> str:
    """``torch`` for ``torch``, ``F`` and ``torch.nn.functional``; the module's own first name."""
    found = look_up(owner, names)
    if found is MISSING:
        return {"np": "numpy", "F": "torch"}.get(ast.unparse(owner), ast.unparse(owner).partition(".")[0])
    name = getattr(found, "__name__", "") if type(found).__name__ == "module" else ""
    return str(name).partition(".")[0]


def _called(node: ast.AST) -> str:
    match node:
        case ast.Call(func=ast.Attribute(attr=name)):
            return name
    return ""


def _has_axis(node: ast.AST) -> bool:
    """``x.max(1)`` and ``torch.max(x, dim=1)`` give values and indices, ``torch.max(a, b)`` one tensor."""
    return isinstance(node, ast.Call) and (
        any(keyword.arg == "dim" for keyword in node.keywords)
        or any(isinstance(one, (ast.Constant, ast.UnaryOp)) for one in node.args)
        or (has(_called(node), "also-indices") and not has(_called(node), "reduces"))
    )


def _is_whole_number_type(call: ast.Call) -> bool:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    return any(
        (isinstance(one, ast.Attribute) and (has(one.attr, "whole") or one.attr in _WHOLE_NUMBERS))
        or (isinstance(one, ast.Name) and one.id in ("int", "bool"))
        for one in given
    )


def _truth(node: ast.expr, names: Mapping[str, Any]) -> bool | None:
    """Whether a condition such as ``phase == "train"`` holds, where its names are plain values; else ``None``."""
    match node:
        case ast.Constant(value=bool(value)):
            return value
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _truth(operand, names)
            return None if inner is None else not inner
        case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq() as operator], comparators=[ast.Constant(value=right)]):
            value = look_up(left, names)
            if type(value) in (str, int, bool):
                return bool((value == right) is isinstance(operator, ast.Eq))
        case ast.Name() | ast.Attribute():
            value = look_up(node, names)
            return value if type(value) is bool else None
    return None


def is_reentrant_checkpoint(call: ast.Call) -> bool:
    """``checkpoint(..., use_reentrant=True)``."""
    return ast.unparse(call.func).rpartition(".")[2] in ("checkpoint", "checkpoint_sequential") and any(
        one.arg == "use_reentrant" and getattr(one.value, "value", None) is True for one in call.keywords
    )


def switches_on(node: ast.AST) -> bool:
    """``torch.enable_grad()`` or ``torch.set_grad_enabled(True)``."""
    text = ast.unparse(node).rpartition("torch.")[2]
    return text in ("enable_grad()", "set_grad_enabled(True)")


def switch_of(node: ast.AST, names: Mapping[str, Any] | None = None) -> tuple[str, ast.expr] | None:
    """``no-grad`` or ``inference-mode`` with its place, where an expression switches recording off."""
    match node:
        case ast.Call(func=function, args=arguments):
            name = ast.unparse(function).rpartition(".")[2]
            first = _truth(arguments[0], names or {}) if arguments else None
        case ast.Name() | ast.Attribute():
            name, first = ast.unparse(node).rpartition(".")[2], None
        case _:
            return None
    if name == "no_grad" or (name == "set_grad_enabled" and first is False):
        return "no-grad", node
    if name == "inference_mode" and first is not False:
        return "inference-mode", node
    return None
