"""A helper's lines in the place of its call: ``y = f(a)`` becomes the lines of `f`, its names made new."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from tests.paraphrase.marks import marked, marks_of
from tests.paraphrase.transforms.code import (
    BlockTransformer,
    Change,
    Source,
    body_of,
    bound_in,
    calls_super,
    contains,
    only_small,
    tree_of,
)

_STAYS = (
    *(ast.Yield, ast.YieldFrom, ast.Await, ast.Global, ast.Nonlocal, ast.Lambda, ast.FunctionDef, ast.ClassDef),
    *(ast.Import, ast.ImportFrom),
)


def inline_helper(source: Source) -> Change | None:
    """Inline every function or method of the program that ends in its only ``return``."""
    helpers = dict(_helpers(source.module, source.question.named))
    inliner = _Inliner(helpers, source.fresh("inlined"))
    module = source.module.visit(inliner)
    return Change(module=module) if inliner.count else None


@dataclass(frozen=True, kw_only=True)
class _Helper:
    parameters: tuple[str, ...]
    statements: tuple[cst.BaseStatement, ...]  # without the last one, where it returns
    returned: cst.SimpleStatementLine | None
    is_method: bool


def _helpers(module: cst.Module, named: frozenset[str]) -> Iterator[tuple[str, _Helper]]:
    """The helpers by name; a name that is defined twice, or is torch's to call, is none."""
    definitions = [(each, False) for each in module.body if isinstance(each, cst.FunctionDef)]
    for each in module.body:
        if isinstance(each, cst.ClassDef):
            definitions += [(one, True) for one in each.body.body if isinstance(one, cst.FunctionDef)]
    names = [each.name.value for each, _ in definitions]
    module_names = bound_in(ast.parse(module.code))
    for function, is_method in definitions:
        name = function.name.value
        if names.count(name) == 1 and name not in named and name not in ("__init__", "forward", "backward"):
            helper = _as_helper(function, is_method=is_method)
            if helper is not None and name in module_names:
                yield name, helper


def _as_helper(function: cst.FunctionDef, *, is_method: bool) -> _Helper | None:
    statements = tuple(body_of(function))
    parameters = function.params
    plain = not (parameters.kwonly_params or parameters.star_kwarg or parameters.posonly_params)
    if not plain or isinstance(parameters.star_arg, cst.Param) or function.decorators or not statements:
        return None
    if any(each.default is not None for each in parameters.params):
        return None
    last = statements[-1]
    returned = last if isinstance(only_small(last), cst.Return) else None
    before = statements[:-1] if returned is not None else statements
    trees = [tree_of(each) for each in statements]
    if any(contains(each, *_STAYS) or calls_super(each) for each in trees):
        return None
    if any(contains(tree_of(each), ast.Return) for each in before):
        return None
    assert returned is None or isinstance(returned, cst.SimpleStatementLine)
    names = tuple(each.name.value for each in parameters.params)
    return _Helper(parameters=names, statements=before, returned=returned, is_method=is_method)


class _Inliner(BlockTransformer):
    def __init__(self, helpers: dict[str, _Helper], names: Iterator[str]) -> None:
        self.helpers, self.names = helpers, names
        self.count = 0

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        return node.name.value not in self.helpers  # one level: a helper keeps its own calls

    def change_block(self, statements: Sequence[cst.BaseStatement], *, in_module: bool) -> list[cst.BaseStatement]:
        changed: list[cst.BaseStatement] = []
        for each in statements:
            small = only_small(each)
            inlined = None
            if isinstance(small, cst.Assign | cst.Return | cst.Expr) and isinstance(small.value, cst.Call):
                assert isinstance(each, cst.SimpleStatementLine)
                inlined = self._inline(each, small, small.value)
            changed.extend(inlined or [each])
        return changed

    def _inline(
        self, line: cst.SimpleStatementLine, small: cst.Assign | cst.Return | cst.Expr, call: cst.Call
    ) -> list[cst.BaseStatement] | None:
        called, receiver = call.func, None
        if isinstance(called, cst.Attribute) and isinstance(called.value, cst.Name) and called.value.value == "self":
            called, receiver = called.attr, called.value
        helper = self.helpers.get(called.value) if isinstance(called, cst.Name) else None
        if helper is None or helper.is_method != (receiver is not None):
            return None
        given = [] if receiver is None else [cst.Arg(receiver)]
        arguments = [*given, *call.args]
        if any(each.keyword or each.star for each in arguments) or len(arguments) != len(helper.parameters):
            return None
        self.count += 1
        local = set(helper.parameters).union(*(bound_in(tree_of(each)) for each in helper.statements))
        if helper.returned is not None:
            local |= bound_in(tree_of(helper.returned))
        new = {name: next(self.names) for name in sorted(local)}
        if receiver is not None:
            new[helper.parameters[0]] = "self"
            local.discard(helper.parameters[0])
        marks = marks_of(line)
        made: list[cst.BaseStatement] = [
            marked(_assignment(new[name], argument.value), marks)
            for name, argument in zip(helper.parameters, arguments, strict=True)
            if new[name] != "self"
        ]
        renamer = _Locals(new)
        for each in helper.statements:
            after = each.visit(renamer)
            assert isinstance(after, cst.BaseStatement)
            made.append(after)
        value: cst.BaseExpression = cst.Name("None")
        if helper.returned is not None:
            returned = helper.returned.visit(renamer)
            inner = only_small(returned) if isinstance(returned, cst.SimpleStatementLine) else None
            assert isinstance(inner, cst.Return)
            value = inner.value or value
            marks |= marks_of(helper.returned)
        made.append(marked(line.with_changes(body=[small.with_changes(value=value)]), marks))
        return made


def _assignment(name: str, value: cst.BaseExpression) -> cst.SimpleStatementLine:
    return cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(cst.Name(name))], value)])


class _Locals(cst.CSTTransformer):
    """New names for the locals of a helper; attributes and keywords stay."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
        return updated_node.with_changes(value=self.names.get(original_node.value, original_node.value))

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.Attribute:
        return updated_node.with_changes(attr=original_node.attr)

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:
        return updated_node.with_changes(keyword=original_node.keyword)
