"""The source of a hook: its syntax tree, and where it keeps, uses and returns the tensors that it is given."""

from __future__ import annotations

import ast

from gradflow.location import SourceSpan
from gradflow.recording.program.events import Hook
from gradflow.source.class_source import parse_file, span_of_node

__all__ = [
    "keeps_all",
    "place_of_keeping",
    "place_of_return",
    "place_of_use",
]

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_KEEPING = frozenset({
    "append", "appendleft", "extend", "update", "insert", "add", "setdefault", "__setitem__", "put", "write", "push",
    "add_scalar", "add_histogram", "add_image", "log", "info", "debug", "print", "setattr", "save",
})  # fmt: skip
"""Calls by which a hook keeps or shows what it has seen."""

_ADDING = frozenset({"append", "appendleft", "extend", "insert", "add", "put", "push"})


def keeps_all(hook: Hook) -> bool:
    """Whether the hook adds what it is given to a list, so that a later run overwrites nothing."""
    function = _function(hook)
    return function is not None and any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _ADDING
        for node in ast.walk(function)
    )


def place_of_keeping(hook: Hook, position: int) -> SourceSpan | None:
    """The statement in which the hook stores its argument number ``position`` (of the three of a forward hook)."""
    function = _function(hook)
    if function is None or isinstance(function, ast.Lambda) or hook.defined is None:
        return None
    known = {_argument(hook, position)}
    for statement in _statements(function):
        names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
        if not known & names:
            continue
        if any(_is_keeping(node, function) for node in ast.walk(statement)):
            return span_of_node(hook.defined.path, statement, hook.defined.function)
        if isinstance(statement, ast.Assign):
            known |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
    return None


def place_of_use(hook: Hook, position: int) -> SourceSpan | None:
    """The first place at which the hook uses its argument number ``position``."""
    function = _function(hook)
    name = _argument(hook, position)
    if function is None or not name or hook.defined is None:
        return None
    body = function.body if isinstance(function, ast.Lambda) else ast.Module(body=function.body, type_ignores=[])
    parents = {child: node for node in ast.walk(body) for child in ast.iter_child_nodes(node)}
    uses = [node for node in ast.walk(body) if isinstance(node, ast.Name) and node.id == name]
    if not uses:
        return None
    use: ast.expr = min(uses, key=lambda node: (node.lineno, node.col_offset))
    above = parents.get(use)
    if isinstance(above, ast.Subscript) and above.value is use:
        use = above
    return span_of_node(hook.defined.path, use, hook.defined.function)


def place_of_return(hook: Hook) -> SourceSpan | None:
    """The hook's last return statement with a value."""
    function = _function(hook)
    if function is None or isinstance(function, ast.Lambda) or hook.defined is None:
        return None
    returns = [n for n in ast.walk(function) if isinstance(n, ast.Return) and n.value is not None]
    return span_of_node(hook.defined.path, returns[-1], hook.defined.function) if returns else None


def _function(hook: Hook) -> _Function | None:
    tree = parse_file(hook.defined.path) if hook.defined is not None else None
    if tree is None or hook.defined is None:
        return None
    for node in ast.walk(tree):
        if hook.is_lambda:
            if isinstance(node, ast.Lambda) and node.lineno == hook.defined.line:
                names = {part.id for part in ast.walk(node.body) if isinstance(part, ast.Name)}
                # of several on one line, the one that knows the same names
                if hook.names <= names | {p.attr for p in ast.walk(node.body) if isinstance(p, ast.Attribute)}:
                    return node
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and hook.defined.line in (
            node.lineno,
            *(decorator.lineno for decorator in node.decorator_list),
        ):
            return node
    return None


def _argument(hook: Hook, position: int) -> str:
    return hook.arguments[position] if position < len(hook.arguments) else ""


def _statements(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    """The simple statements of a function, in order."""
    simple = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr)
    found = [node for node in ast.walk(function) if isinstance(node, simple)]
    return sorted(found, key=lambda node: node.lineno)


def _is_keeping(node: ast.AST, function: _Function) -> bool:
    match node:
        case ast.Assign(targets=targets):
            outer = _outer_names(function)
            return any(
                isinstance(target, (ast.Subscript, ast.Attribute))
                or (isinstance(target, ast.Name) and target.id in outer)
                for target in targets
            )
        case ast.AugAssign(target=target):
            outer = _outer_names(function)
            return isinstance(target, ast.Attribute) or (isinstance(target, ast.Name) and target.id in outer)
        case ast.Call(func=ast.Attribute(attr=name)) | ast.Call(func=ast.Name(id=name)):
            return name in _KEEPING
    return False


def _outer_names(function: _Function) -> set[str]:
    return {name for node in ast.walk(function) if isinstance(node, (ast.Global, ast.Nonlocal)) for name in node.names}
