"""Classes and functions in a file of their own, beside the program, which imports them from there."""

from __future__ import annotations

import ast
from collections.abc import Mapping

import libcst as cst

from tests.paraphrase.transforms.code import (
    BUILTINS,
    Change,
    Source,
    after_imports,
    bound_in,
    imported_in,
    only_small,
    read_in,
    statement,
    tree_of,
)

_MODULE = "parts"


def move_to_module(source: Source) -> Change | None:
    """Move all definitions that read nothing but imports and each other."""
    imports = imported_in(ast.parse(source.text))
    movable = _movable(source.module, source.question.named, imports)
    if not any(isinstance(each, cst.FunctionDef | cst.ClassDef) for each in movable.values()):
        return None
    moved = [each for each in source.module.body if any(each is one for one in movable.values())]
    kept = [each for each in source.module.body if not any(each is one for one in moved)]
    # in the other file stand all imports, wherever the first statement of the program comes
    heads = [each for each in source.module.body if isinstance(only_small(each), cst.Import | cst.ImportFrom)]
    place = after_imports(source.module.with_changes(body=kept))
    names = statement(f"from {_MODULE} import {', '.join(sorted(movable))}")
    return Change(
        module=source.module.with_changes(body=[*kept[:place], names, *kept[place:]]),
        helpers={f"{_MODULE}.py": source.module.with_changes(body=[*heads, *moved], header=[], footer=[])},
    )


def _movable(module: cst.Module, named: frozenset[str], imports: set[str]) -> Mapping[str, cst.BaseStatement]:
    """Definitions, and constants that they may need, by name."""
    found: dict[str, cst.BaseStatement] = {}
    needs: dict[str, set[str]] = {}
    bound = [name for each in module.body for name in bound_in(tree_of(each)) if not _is_definition(each)]
    bound += [each.name.value for each in module.body if isinstance(each, cst.FunctionDef | cst.ClassDef)]
    for each in module.body:
        name = _name_of(each)
        if name is None or name in named or bound.count(name) != 1:
            continue
        tree = tree_of(each)
        if any(isinstance(node, ast.Global) for node in ast.walk(tree)):
            continue
        found[name] = each
        needs[name] = read_in(tree) - (bound_in(tree) - {name}) - BUILTINS - imports - {name}
    while lacking := {name for name, wanted in needs.items() if wanted - set(found)}:
        for name in lacking:
            del found[name], needs[name]
    return found


def _is_definition(node: cst.BaseStatement) -> bool:
    return isinstance(node, cst.FunctionDef | cst.ClassDef)


def _name_of(node: cst.BaseStatement) -> str | None:
    if isinstance(node, cst.FunctionDef | cst.ClassDef):
        return node.name.value
    small = only_small(node)
    if not isinstance(small, cst.Assign) or len(small.targets) != 1 or not _is_constant(small.value):
        return None
    target = small.targets[0].target
    return target.value if isinstance(target, cst.Name) else None


def _is_constant(value: cst.BaseExpression) -> bool:
    tree = tree_of(value)
    assert isinstance(tree, ast.Expression)
    return all(isinstance(each, ast.Constant | ast.Tuple | ast.expr_context) for each in ast.walk(tree.body))
