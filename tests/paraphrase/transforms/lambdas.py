"""A function of one expression as a lambda, and a lambda as a function with a name."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

import libcst as cst

from tests.paraphrase.marks import marked, marks_of
from tests.paraphrase.transforms.code import (
    BlockTransformer,
    Change,
    Source,
    body_of,
    contains,
    only_small,
    tree_of,
)

_SUSPENDS = (ast.Yield, ast.YieldFrom, ast.Await)


def function_to_lambda(source: Source) -> Change | None:
    """``def f(x): return E`` becomes ``f = lambda x: E``."""
    changer = _ToLambda()
    module = source.module.visit(changer)
    return Change(module=module) if changer.count else None


def lambda_to_function(source: Source) -> Change | None:
    """``g(lambda x: E)`` becomes ``def made(x): return E`` before it, and ``g(made)``."""
    changer = _ToFunction(source.fresh("made"))
    module = source.module.visit(changer)
    return Change(module=module) if changer.count else None


class _ToLambda(cst.CSTTransformer):
    def __init__(self) -> None:
        self.count = 0

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef | cst.SimpleStatementLine:
        body = body_of(updated_node)
        returned = only_small(body[0]) if len(body) == 1 else None
        if not isinstance(returned, cst.Return) or returned.value is None:
            return updated_node
        if updated_node.decorators or updated_node.asynchronous or contains(tree_of(returned.value), *_SUSPENDS):
            return updated_node
        self.count += 1
        parameters = updated_node.params.visit(_WithoutAnnotations())
        assert isinstance(parameters, cst.Parameters)
        value = returned.value
        if not value.lpar:
            value = value.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        made = cst.Lambda(
            params=parameters,
            body=value,
            whitespace_after_lambda=cst.SimpleWhitespace(" " if _has_any(parameters) else ""),
        )
        assigned = cst.Assign(targets=[cst.AssignTarget(updated_node.name)], value=made)
        line = cst.SimpleStatementLine([assigned], leading_lines=updated_node.leading_lines)
        return marked(line, marks_of(updated_node))


def _has_any(parameters: cst.Parameters) -> bool:
    return bool(cst.Module([]).code_for_node(parameters).strip())


class _WithoutAnnotations(cst.CSTTransformer):
    """Also without what stands on lines of their own: a lambda's arguments stand in no parentheses."""

    def leave_Param(self, original_node: cst.Param, updated_node: cst.Param) -> cst.Param:
        return updated_node.with_changes(annotation=None, whitespace_after_param=cst.SimpleWhitespace(""))

    def leave_ParenthesizedWhitespace(
        self, original_node: cst.ParenthesizedWhitespace, updated_node: cst.ParenthesizedWhitespace
    ) -> cst.SimpleWhitespace:
        return cst.SimpleWhitespace(" ")


class _ToFunction(BlockTransformer):
    def __init__(self, names: Iterator[str]) -> None:
        self.names = names
        self.count = 0

    def change_block(self, statements: Sequence[cst.BaseStatement], *, in_module: bool) -> list[cst.BaseStatement]:
        changed: list[cst.BaseStatement] = []
        for each in statements:
            if not isinstance(each, cst.SimpleStatementLine):
                changed.append(each)
                continue
            taker = _TakeLambdas(self.names)
            after = each.visit(taker)
            self.count += len(taker.made)
            for name, made in taker.made:
                line = marked(cst.SimpleStatementLine([cst.Return(made.body)]), marks_of(each))
                changed.append(cst.FunctionDef(name=cst.Name(name), params=made.params, body=cst.IndentedBlock([line])))
            assert isinstance(after, cst.SimpleStatementLine)
            changed.append(marked(after, marks_of(each)) if taker.made else after)
        return changed


class _TakeLambdas(cst.CSTTransformer):
    """Takes the outermost lambdas out of a statement, but those that read what an expression around them binds."""

    def __init__(self, names: Iterator[str]) -> None:
        self.names = names
        self.made: list[tuple[str, cst.Lambda]] = []

    def visit_ListComp(self, node: cst.ListComp) -> bool:
        return False

    def visit_SetComp(self, node: cst.SetComp) -> bool:
        return False

    def visit_DictComp(self, node: cst.DictComp) -> bool:
        return False

    def visit_GeneratorExp(self, node: cst.GeneratorExp) -> bool:
        return False

    def visit_Lambda(self, node: cst.Lambda) -> bool:
        return False

    def leave_Lambda(self, original_node: cst.Lambda, updated_node: cst.Lambda) -> cst.BaseExpression:
        if contains(tree_of(original_node), ast.NamedExpr, *_SUSPENDS):
            return updated_node
        name = next(self.names)
        self.made.append((name, updated_node.with_changes(lpar=[], rpar=[])))
        return cst.Name(name, lpar=updated_node.lpar, rpar=updated_node.rpar)
