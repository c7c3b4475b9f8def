"""A loop as a comprehension, and a comprehension as a loop."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

import libcst as cst

from tests.paraphrase.marks import mark_comment, marked, marks_of
from tests.paraphrase.transforms.code import (
    BlockTransformer,
    Change,
    Source,
    bound_in,
    code_of,
    contains,
    only_small,
    read_in,
    tree_of,
)

_STAYS = (ast.Yield, ast.YieldFrom, ast.Await, ast.NamedExpr)


def loop_to_comprehension(source: Source) -> Change | None:
    """Loops of one expression; those that append to a list that was empty make it."""
    changer = _ToComprehension()
    module = source.module.visit(changer)
    return Change(module=module) if changer.count else None


def comprehension_to_loop(source: Source) -> Change | None:
    """List comprehensions, wherever a statement holds one."""
    tree = ast.parse(source.text)
    outer = [node for node in ast.walk(tree) if isinstance(node, ast.comprehension)]
    targets = [name for each in outer for name in bound_in(each.target)]
    others = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)]
    others += [node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)]
    # a loop's variable lives on: it must be nobody else's
    free = {name for name in targets if others.count(name) == targets.count(name)}
    changer = _ToLoop(source.fresh("collected"), free)
    module = source.module.visit(changer)
    return Change(module=module) if changer.count else None


class _ToComprehension(BlockTransformer):
    def __init__(self) -> None:
        self.count = 0

    def change_block(self, statements: Sequence[cst.BaseStatement], *, in_module: bool) -> list[cst.BaseStatement]:
        changed: list[cst.BaseStatement] = []
        for each in statements:
            line = _as_comprehension(each)
            if line is None:
                changed.append(each)
                continue
            self.count += 1
            joined = _joined(changed[-1] if changed else None, line)
            if joined is not None:
                changed[-1] = joined
            else:
                changed.append(line)
        return changed


def _as_comprehension(node: cst.BaseStatement) -> cst.SimpleStatementLine | None:
    """``[E for T in S]`` for a loop of one expression."""
    if (
        not isinstance(node, cst.For)
        or node.orelse
        or node.asynchronous
        or not isinstance(node.body, cst.IndentedBlock)
    ):
        return None
    inner = only_small(node.body.body[0]) if len(node.body.body) == 1 else None
    if not isinstance(inner, cst.Expr) or contains(tree_of(inner.value), *_STAYS):
        return None
    source = node.iter
    if isinstance(source, cst.Tuple) and not source.lpar:
        source = source.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    made = cst.ListComp(
        elt=_alone(inner.value),
        for_in=cst.CompFor(target=node.target, iter=_alone(source)),
    )
    return marked(cst.SimpleStatementLine([cst.Expr(made)], leading_lines=node.leading_lines), marks_of(node))


def _joined(before: cst.BaseStatement | None, line: cst.SimpleStatementLine) -> cst.SimpleStatementLine | None:
    """``x = [E for ...]`` where `before` is ``x = []`` and the line ``[x.append(E) for ...]``."""
    small, expression = only_small(before) if before is not None else None, only_small(line)
    if not isinstance(small, cst.Assign) or len(small.targets) != 1 or code_of(small.value) != "[]":
        return None
    assert isinstance(expression, cst.Expr)
    assert isinstance(expression.value, cst.ListComp)
    name, call = code_of(small.targets[0].target), expression.value.elt
    if not isinstance(call, cst.Call) or code_of(call.func) != f"{name}.append" or len(call.args) != 1:
        return None
    value, rest = call.args[0].value, expression.value.for_in
    if name in read_in(tree_of(value)) | read_in(tree_of(rest.iter)) or isinstance(value, cst.GeneratorExp):
        return None
    made = expression.value.with_changes(elt=_alone(value))
    assert before is not None
    return marked(line.with_changes(body=[small.with_changes(value=made)]), marks_of(before, line))


def _alone(value: cst.BaseExpression) -> cst.BaseExpression:
    """A conditional or a lambda needs parentheses within a comprehension."""
    if value.lpar or not isinstance(value, cst.IfExp | cst.Lambda | cst.Tuple):
        return value
    return value.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


class _ToLoop(BlockTransformer):
    def __init__(self, names: Iterator[str], free: set[str]) -> None:
        self.names, self.free = names, free
        self.count = 0

    def visit_ClassDef(self, node: cst.ClassDef) -> bool:
        return any(isinstance(each, cst.FunctionDef) for each in node.body.body)

    def change_block(self, statements: Sequence[cst.BaseStatement], *, in_module: bool) -> list[cst.BaseStatement]:
        changed: list[cst.BaseStatement] = []
        for each in statements:
            if not isinstance(each, cst.SimpleStatementLine):
                changed.append(each)
                continue
            taker = _TakeComprehensions(self.names, self.free)
            after = each.visit(taker)
            assert isinstance(after, cst.SimpleStatementLine)
            marks = marks_of(each)
            for name, made in taker.made:
                self.count += 1
                changed.extend([_line(f"{name} = []", marks), _loop(name, made, marks)])
            changed.append(marked(after, marks) if taker.made else after)
        return changed


def _line(text: str, marks: frozenset[int]) -> cst.SimpleStatementLine:
    made = cst.parse_statement(text)
    assert isinstance(made, cst.SimpleStatementLine)
    return marked(made, marks)


def _loop(name: str, made: cst.ListComp, marks: frozenset[int]) -> cst.For:
    call = cst.Call(cst.Attribute(cst.Name(name), cst.Name("append")), [cst.Arg(made.elt)])
    body: cst.BaseStatement = marked(cst.SimpleStatementLine([cst.Expr(call)]), marks)
    for each in reversed(made.for_in.ifs):
        header = mark_comment(marks)
        body = cst.If(test=each.test, body=cst.IndentedBlock([body], header=header))
    return cst.For(
        target=made.for_in.target, iter=made.for_in.iter, body=cst.IndentedBlock([body], header=mark_comment(marks))
    )


class _TakeComprehensions(cst.CSTTransformer):
    """Takes the outermost list comprehensions out of a statement, but those in a lambda or another comprehension."""

    def __init__(self, names: Iterator[str], free: set[str]) -> None:
        self.names, self.free = names, free
        self.made: list[tuple[str, cst.ListComp]] = []

    def visit_ListComp(self, node: cst.ListComp) -> bool:
        return False

    def visit_GeneratorExp(self, node: cst.GeneratorExp) -> bool:
        return False

    def visit_SetComp(self, node: cst.SetComp) -> bool:
        return False

    def visit_DictComp(self, node: cst.DictComp) -> bool:
        return False

    def visit_Lambda(self, node: cst.Lambda) -> bool:
        return False

    def visit_IfExp(self, node: cst.IfExp) -> bool:
        return False

    def leave_ListComp(self, original_node: cst.ListComp, updated_node: cst.ListComp) -> cst.BaseExpression:
        plain = updated_node.for_in.inner_for_in is None and not updated_node.for_in.asynchronous
        tree = tree_of(updated_node)
        if not plain or not bound_in(tree) <= self.free or contains(tree, *_STAYS):
            return updated_node
        name = next(self.names)
        self.made.append((name, updated_node))
        return cst.Name(name)
