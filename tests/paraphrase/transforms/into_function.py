"""What a script does, in a function that it calls: its variables become the function's own."""

from __future__ import annotations

import ast

import libcst as cst

from tests.paraphrase.transforms.code import (
    Change,
    Source,
    bound_in,
    calls_super,
    only_small,
    read_in,
    statement,
    tree_of,
)


def into_function(source: Source) -> Change | None:
    """``main()`` holds everything but imports and definitions; what definitions read stays global."""
    if source.question.kind != "script" or "main" in source.text:
        return None
    outside = [each for each in source.module.body if _stays(each)]
    inside = [each for each in source.module.body if not _stays(each)]
    if not inside or any(contains_star(each) for each in inside):
        return None
    assigned = set().union(*(bound_in(tree_of(each)) for each in inside))
    read = set().union(*(read_in(tree_of(each)) for each in outside if not only_small(each)))
    shared = sorted(assigned & read)
    lines: list[cst.BaseStatement] = [statement(f"global {', '.join(shared)}")] if shared else []
    function = cst.FunctionDef(
        name=cst.Name("main"), params=cst.Parameters(), body=cst.IndentedBlock([*lines, *inside])
    )
    # a definition that stood between two statements may need the first of them when it is made
    if any(_reads_now(each) & assigned for each in outside if not only_small(each)):
        return None
    return Change(module=source.module.with_changes(body=[*outside, function, statement("main()")]))


def _stays(node: cst.BaseStatement) -> bool:
    return isinstance(node, cst.FunctionDef | cst.ClassDef) or isinstance(only_small(node), cst.Import | cst.ImportFrom)


def contains_star(node: cst.BaseStatement) -> bool:
    tree = tree_of(node)
    return calls_super(tree) or any(isinstance(each, ast.Global | ast.Nonlocal) for each in ast.walk(tree))


def _reads_now(node: cst.BaseStatement) -> set[str]:
    """What a definition reads when it is made: decorators, defaults, bases, the body of a class but its methods."""
    tree = tree_of(node)
    assert isinstance(tree, ast.Module)
    names: set[str] = set()
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        each = waiting.pop()
        names |= {each.id} if isinstance(each, ast.Name) else set()
        if isinstance(each, ast.FunctionDef):
            waiting += [*each.decorator_list, *each.args.defaults, *(one for one in each.args.kw_defaults if one)]
        else:
            waiting += list(ast.iter_child_nodes(each))
    return names
