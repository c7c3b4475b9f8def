"""The places of a program that may hold an operation on a tensor, and what one plain run shows there.

Whether the ``-`` of ``a - b`` is torch's cannot be read: the program runs once with each such `a` noted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import libcst as cst

from tests.paraphrase.transforms.code import Seen, code_of
from tests.paraphrase.transforms.spelling_table import (
    BINARY,
    COMPARED,
    FUNCTION_ELSEWHERE,
    IN_PLACE,
    UNARY,
    function_module,
    has_both_forms,
)

NOTE, NOTE_PAIR = "note_value_", "note_pair_"


def receiver(node: cst.CSTNode) -> cst.BaseExpression | None:
    """The value that an operation would be a method of, where the node may be one that the table knows."""
    if isinstance(node, cst.BinaryOperation) and type(node.operator) in BINARY:
        return node.left
    if isinstance(node, cst.UnaryOperation) and type(node.operator) in UNARY:
        return node.expression
    if (
        isinstance(node, cst.Comparison)
        and len(node.comparisons) == 1
        and type(node.comparisons[0].operator) in COMPARED
    ):
        return node.left
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and _is_known(node.func.attr.value):
        if not function_module(code_of(node.func.value)):
            return node.func.value
        first = node.args[0] if node.args else None
        return first.value if first is not None and first.keyword is None and not first.star else None
    if isinstance(node, cst.Subscript) and constant_index(node) is not None:
        return node.value
    if isinstance(node, cst.AugAssign) and type(node.operator) in IN_PLACE and isinstance(node.target, cst.Name):
        return node.target
    return None


def _is_known(name: str) -> bool:
    return has_both_forms(name) or name in FUNCTION_ELSEWHERE


def constant_index(node: cst.Subscript) -> str | None:
    """The number in ``x[0]``."""
    inner = node.slice[0].slice if len(node.slice) == 1 else None
    if isinstance(inner, cst.Index) and isinstance(inner.value, cst.Integer):
        return inner.value.value
    return None


def _targets(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The places that an assignment writes to."""
    yield node
    if isinstance(node, cst.Tuple | cst.List):
        for element in node.elements:
            yield from _targets(element.value)


class NoteSites(cst.CSTTransformer):
    """Makes a program that notes the value at each place; `numbers` tells which number a node of the program has."""

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self._assigned: set[int] = set()

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.AssignTarget | cst.AnnAssign | cst.AugAssign | cst.Del | cst.For | cst.CompFor):
            self._assigned.update(map(id, _targets(node.target)))
        return super().on_visit(node)

    def on_leave(self, original_node, updated_node):  # type: ignore[no-untyped-def,override]
        noted = super().on_leave(original_node, updated_node)
        if receiver(original_node) is None or id(original_node) in self._assigned:
            return noted
        number = self.numbers[id(original_node)] = len(self.numbers)
        if isinstance(noted, cst.AugAssign):
            pair = f"{NOTE_PAIR}({number}, {code_of(noted.target)}, 0)"
            call = cst.ensure_type(cst.parse_expression(pair), cst.Call)
            return noted.with_changes(value=call.with_changes(args=[*call.args[:2], cst.Arg(noted.value)]))
        return _with_noted_receiver(noted, number)


def _with_noted_receiver(node: cst.CSTNode, number: int) -> cst.CSTNode:
    def note(value: cst.BaseExpression) -> cst.Call:
        return cst.Call(cst.Name(NOTE), [cst.Arg(cst.Integer(str(number))), cst.Arg(value)])

    match node:
        case cst.BinaryOperation() | cst.Comparison():
            return node.with_changes(left=note(node.left))
        case cst.UnaryOperation():
            return node.with_changes(expression=note(node.expression))
        case cst.Subscript():
            return node.with_changes(value=note(node.value))
        case cst.Call(func=cst.Attribute() as called) if not function_module(code_of(called.value)):
            return node.with_changes(func=called.with_changes(value=note(called.value)))
        case cst.Call():
            first = node.args[0]
            return node.with_changes(args=[first.with_changes(value=note(first.value)), *node.args[1:]])
    return node


class Sites:
    """What a run showed at the nodes of a program."""

    def __init__(self, numbers: Mapping[int, int], seen: Mapping[int, Seen]) -> None:
        self._numbers, self._seen = numbers, seen

    def is_tensor(self, node: cst.CSTNode, *, dimensions: int = 0) -> bool:
        """Whether the receiver at this node was a tensor whenever the program came there, and it did."""
        seen = self._seen.get(self._numbers.get(id(node), -1))
        return seen is not None and seen.is_tensor and seen.dimensions >= dimensions
