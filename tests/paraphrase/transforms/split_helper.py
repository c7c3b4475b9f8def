"""Right-hand sides as functions of their own: ``y = E`` becomes ``y = part(a)``, with ``def part(a): return E``."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from tests.paraphrase.marks import marked, marks_of
from tests.paraphrase.transforms.code import (
    BUILTINS,
    Change,
    Source,
    after_imports,
    bound_in,
    calls_super,
    contains,
    imported_in,
    is_docstring,
    read_in,
    tree_of,
)

_STAYS = (ast.Yield, ast.YieldFrom, ast.Await, ast.NamedExpr, ast.Lambda, ast.Starred)
_WORTH_IT = (ast.Call, ast.BinOp, ast.Subscript)


def split_helper(source: Source) -> Change | None:
    """Split off every right-hand side, returned value and bare expression that computes something."""
    tree = ast.parse(source.text)
    everywhere = imported_in(tree) | {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    splitter = _Splitter(source.fresh("part"), everywhere)
    module = source.module.visit(splitter)
    if not splitter.made:
        return None
    place = after_imports(module)
    return Change(module=module.with_changes(body=[*module.body[:place], *splitter.made, *module.body[place:]]))


class _Splitter(cst.CSTTransformer):
    def __init__(self, names: Iterator[str], everywhere: set[str]) -> None:
        self.names, self.everywhere = names, everywhere
        self.made: list[cst.FunctionDef] = []

    def visit_ClassDef(self, node: cst.ClassDef) -> bool:
        # what a class body computes is read by name there
        return any(isinstance(each, cst.FunctionDef) for each in node.body.body)

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine:
        if len(updated_node.body) != 1 or is_docstring(updated_node):
            return updated_node
        small = updated_node.body[0]
        if not isinstance(small, cst.Assign | cst.AugAssign | cst.Return | cst.Expr) or small.value is None:
            return updated_node
        call = self._split(small.value, marks_of(updated_node))
        if call is None:
            return updated_node
        return marked(updated_node.with_changes(body=[small.with_changes(value=call)]), marks_of(updated_node))

    def _split(self, value: cst.BaseExpression, marks: frozenset[int]) -> cst.Call | None:
        tree = tree_of(value)
        if contains(tree, *_STAYS) or not contains(tree, *_WORTH_IT) or calls_super(tree):
            return None
        arguments = sorted(read_in(tree) - bound_in(tree) - self.everywhere - BUILTINS)
        if isinstance(value, cst.Tuple) and not value.lpar:
            value = value.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        name = next(self.names)
        line = marked(cst.SimpleStatementLine([cst.Return(value)]), marks)
        self.made.append(
            cst.FunctionDef(
                name=cst.Name(name),
                params=cst.Parameters([cst.Param(cst.Name(each)) for each in arguments]),
                body=cst.IndentedBlock([line]),
            )
        )
        return cst.Call(cst.Name(name), [cst.Arg(cst.Name(each)) for each in arguments])
