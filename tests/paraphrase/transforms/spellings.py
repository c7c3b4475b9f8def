"""Other spellings of operations on tensors; `spelling_table` says which there are."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace

import libcst as cst
import torch
from torch import Tensor

from tests.paraphrase.marks import marked, marks_of
from tests.paraphrase.transforms.code import Change, Source, code_of, imported_in
from tests.paraphrase.transforms.sites import NoteSites, Sites, constant_index
from tests.paraphrase.transforms.spelling_table import (
    ALIASES,
    BINARY,
    COMPARED,
    FUNCTION_ELSEWHERE,
    IN_PLACE,
    SAME_MODE,
    SIZES_TOGETHER,
    UNARY,
    function_module,
)

Respell = Callable[[cst.CSTNode, cst.CSTNode, Sites], cst.CSTNode | None]


def as_functions(source: Source) -> Change | None:
    """``torch.sub(a, b)``, ``torch.detach(x)``, ``torch.select(x, 0, 1)``."""
    return _respelled(source, _function)


def as_methods(source: Source) -> Change | None:
    """``a.sub(b)``, ``a.sub_(b)`` for ``a -= b``, ``x.detach()``, ``x.select(0, 1)``."""
    return _respelled(source, _method)


def as_operators(source: Source) -> Change | None:
    """``a - b``, ``x[0]``."""
    return _respelled(source, _operator)


def as_unbind(source: Source) -> Change | None:
    """``x.unbind()[0]`` for ``x[0]``."""
    return _respelled(source, _unbind)


def _respelled(source: Source, respell: Respell) -> Change | None:
    notes = NoteSites()
    noted = source.module.visit(notes)
    sites = Sites(notes.numbers, source.see(noted) if notes.numbers else {})
    changer = _Respeller(respell, sites, has_torch="torch" in imported_in(ast.parse(source.text)))
    module = source.module.visit(changer)
    return Change(module=module) if changer.count else None


def as_aliases(source: Source) -> Change | None:
    """``torch.subtract(a, b)``, ``x.clip(0)``, ``torch.autograd.backward(y)``, ``torch.set_grad_enabled(False)``."""
    switched = source.module.visit(_OtherModes())
    change = _respelled(replace(source, module=switched), _alias)
    if change is None and switched.code != source.module.code:
        return Change(module=switched)
    return change


class _OtherModes(cst.CSTTransformer):
    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        other = SAME_MODE.get(code_of(original_node))
        return cst.parse_expression(other) if other is not None else updated_node


class _Respeller(cst.CSTTransformer):
    def __init__(self, respell: Respell, sites: Sites, *, has_torch: bool) -> None:
        self.respell, self.sites, self.has_torch = respell, sites, has_torch
        self.count = 0

    def on_leave(self, original_node, updated_node):  # type: ignore[no-untyped-def,override]
        left = super().on_leave(original_node, updated_node)
        if isinstance(original_node, cst.SimpleStatementLine):
            # what stood between the lines of an expression may be gone
            return marked(left, marks_of(original_node)) if left is not original_node else left
        if not self.sites.is_tensor(original_node) or (self.respell in (_function, _alias) and not self.has_torch):
            return left
        made = self.respell(original_node, left, self.sites)
        if made is None:
            return left
        self.count += 1
        return made


def _call(function: cst.BaseExpression, *values: cst.BaseExpression) -> cst.Call:
    return cst.Call(function, [cst.Arg(each) for each in values])


def _torch(name: str) -> cst.Attribute:
    return cst.Attribute(cst.Name("torch"), cst.Name(name))


def _of(value: cst.BaseExpression, name: str) -> cst.Attribute:
    """``value.name``, in parentheses where the value needs them."""
    simple = isinstance(value, cst.Name | cst.Attribute | cst.Call | cst.Subscript) or value.lpar
    if not simple:
        value = value.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    return cst.Attribute(value, cst.Name(name))


def _operation(node: cst.CSTNode) -> tuple[str, list[cst.BaseExpression]] | None:
    """Name and operands of an operator."""
    match node:
        case cst.BinaryOperation():
            return BINARY[type(node.operator)], [node.left, node.right]
        case cst.UnaryOperation():
            return UNARY[type(node.operator)], [node.expression]
        case cst.Comparison():
            (compared,) = node.comparisons
            return COMPARED[type(compared.operator)], [node.left, compared.comparator]
    return None


def _function(original: cst.CSTNode, node: cst.CSTNode, sites: Sites) -> cst.CSTNode | None:
    if found := _operation(node):
        name, operands = found
        return _call(_torch(name), *operands)
    if isinstance(node, cst.Subscript) and sites.is_tensor(original, dimensions=1):
        return _call(_torch("select"), node.value, cst.Integer("0"), cst.Integer(str(constant_index(node))))
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
        if function_module(code_of(node.func.value)) or node.func.attr.value in FUNCTION_ELSEWHERE:
            return None
        name, arguments = node.func.attr.value, list(node.args)
        if name in SIZES_TOGETHER and len(arguments) > 1:
            arguments = [cst.Arg(cst.Tuple([cst.Element(each.value) for each in arguments]))]
        return node.with_changes(func=_torch(name), args=[cst.Arg(node.func.value), *arguments])
    return None


def _method(original: cst.CSTNode, node: cst.CSTNode, sites: Sites) -> cst.CSTNode | None:
    if found := _operation(node):
        name, (first, *others) = found
        return _call(_of(first, name), *others)
    if isinstance(node, cst.AugAssign):
        assert isinstance(node.target, cst.Name)
        return cst.Expr(_call(_of(node.target, IN_PLACE[type(node.operator)]), node.value))
    if isinstance(node, cst.Subscript) and sites.is_tensor(original, dimensions=1):
        return _call(_of(node.value, "select"), cst.Integer("0"), cst.Integer(str(constant_index(node))))
    if (
        isinstance(node, cst.Call)
        and isinstance(node.func, cst.Attribute)
        and function_module(code_of(node.func.value))
    ):
        first_argument, *others = node.args
        return node.with_changes(func=_of(first_argument.value, node.func.attr.value), args=others)
    return None


_BINARY_NAMED = {name: operator for operator, name in BINARY.items()}
_COMPARED_NAMED = {name: operator for operator, name in COMPARED.items()}


def _operator(original: cst.CSTNode, node: cst.CSTNode, sites: Sites) -> cst.CSTNode | None:
    if not isinstance(node, cst.Call) or not isinstance(node.func, cst.Attribute):
        return None
    if any(each.keyword or each.star for each in node.args):
        return None
    name, operands = node.func.attr.value, [each.value for each in node.args]
    if not function_module(code_of(node.func.value)):
        operands = [node.func.value, *operands]
    around = {"lpar": [cst.LeftParen()], "rpar": [cst.RightParen()]}
    match name, [_in_parentheses(each) for each in operands]:
        case _, [left, right] if name in _BINARY_NAMED:
            return cst.BinaryOperation(left=left, operator=_BINARY_NAMED[name](), right=right, **around)
        case _, [left, right] if name in _COMPARED_NAMED:
            compared = [cst.ComparisonTarget(_COMPARED_NAMED[name](), right)]
            return cst.Comparison(left=left, comparisons=compared, **around)
        case "neg", [value]:
            return cst.UnaryOperation(cst.Minus(), value, **around)
        case "select", [value, cst.Integer(value="0"), index]:
            return cst.Subscript(value, [cst.SubscriptElement(cst.Index(index))])
    return None


def _in_parentheses(value: cst.BaseExpression) -> cst.BaseExpression:
    if value.lpar or isinstance(value, cst.Name | cst.Attribute | cst.Call | cst.Subscript | cst.Integer | cst.Float):
        return value
    return value.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


def _alias(original: cst.CSTNode, node: cst.CSTNode, sites: Sites) -> cst.CSTNode | None:
    if found := _operation(node):
        name, operands = found
        return _call(_torch(ALIASES.get(name, name)), *operands)
    if not isinstance(node, cst.Call) or not isinstance(node.func, cst.Attribute):
        return None
    name = node.func.attr.value
    if name in ALIASES and hasattr(torch if function_module(code_of(node.func.value)) else Tensor, ALIASES[name]):
        return node.with_changes(func=node.func.with_changes(attr=cst.Name(ALIASES[name])))
    if name in FUNCTION_ELSEWHERE:
        function = cst.parse_expression(FUNCTION_ELSEWHERE[name])
        return node.with_changes(func=function, args=[cst.Arg(node.func.value), *node.args])
    return None


def _unbind(original: cst.CSTNode, node: cst.CSTNode, sites: Sites) -> cst.CSTNode | None:
    if isinstance(node, cst.Subscript) and sites.is_tensor(original, dimensions=1):
        return node.with_changes(value=_call(_of(node.value, "unbind")))
    return None
