"""Where a name in the program's source got its value: the line to look at when a later line only uses it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Sequence

from gradflow.location import SourceSpan
from gradflow.source.class_source import parse_file, span_of_node
from gradflow.source.given import given_for

__all__ = [
    "argument_at",
    "asked_name_made",
    "assignment_before",
    "definition_of",
    "expression_at",
    "kept_under",
    "loop_with_zip",
    "receiver_at",
]

_Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef


def expression_at(span: SourceSpan | None) -> ast.expr | None:
    """The expression that stands exactly at a place, else the first that starts there."""
    tree = parse_file(span.path) if span is not None else None
    if tree is None or span is None or span.column is None:
        return None
    for node in _expressions(tree).get((span.line, span.end_line), ()):
        found = span_of_node(span.path, node)
        if (found.column, found.end_column) == (span.column, span.end_column):
            return node
    return None


@functools.lru_cache(maxsize=32)
def _expressions(tree: ast.Module) -> dict[tuple[int, int | None], list[ast.expr]]:
    """The expressions of a file by their first and last line, the outer ones first."""
    found: dict[tuple[int, int | None], list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.expr):
            found.setdefault((node.lineno, node.end_lineno), []).append(node)
    return found


def argument_at(span: SourceSpan | None, position: int) -> ast.expr | None:
    """The operand number ``position`` of the operation at a place: ``a * b``, ``torch.mul(a, b)``, ``a.mul(b)``."""
    node = expression_at(span)
    match node:
        case ast.BinOp(left=left, right=right):
            return (left, right)[position] if position < 2 else None
        case ast.Call(func=ast.Attribute(value=ast.Name(id="torch" | "F")), args=arguments):
            return arguments[position] if position < len(arguments) else None
        case ast.Call(func=ast.Attribute(value=receiver), args=arguments):
            operands = [receiver, *arguments]
            return operands[position] if position < len(operands) else None
    return None


def receiver_at(span: SourceSpan | None) -> ast.expr | None:
    """The object whose method is called at a place."""
    match expression_at(span):
        case ast.Call(func=ast.Attribute(value=receiver)):
            return receiver
    return None


def definition_of(span: SourceSpan, node: ast.expr | None, callers: Sequence[SourceSpan] = ()) -> SourceSpan | None:
    """The assignment that gave a name, an attribute of one, or a key of a named dictionary its value before a place.

    ``callers`` are the calls that led to the function around the place, the nearest first: what a function was given
    is followed to where its caller made it.
    """
    match node:
        case ast.Name(id=name):
            return assignment_before(span, name) or _made_by_caller(span, name, callers)
        case ast.Attribute(value=ast.Name()):
            return assignment_before(span, _written(node))
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=key)):
            found = _assignment(span, name)
            if found is not None and isinstance(found.value, ast.Dict):
                keys = [item.value if isinstance(item, ast.Constant) else None for item in found.value.keys]
                if key in keys:
                    return span_of_node(span.path, found.value.values[keys.index(key)], span.function)
    return None


def _made_by_caller(span: SourceSpan, name: str, callers: Sequence[SourceSpan]) -> SourceSpan | None:
    """Where the value was made that an argument of the function around a place was given."""
    given = given_for(span, name, expression_at(callers[0])) if callers else None
    if isinstance(given, ast.Call | ast.BinOp):  # in the call itself
        return span_of_node(callers[0].path, given, callers[0].function)
    return definition_of(callers[0], given, callers[1:]) if given is not None else None


def kept_under(span: SourceSpan | None) -> tuple[SourceSpan, bool] | None:
    """The first statement that stores something under a name used at a place, and whether it adds it to a list.

    Storing is ``name[...] = x``, ``name.attribute = x``, ``name.setdefault(...)``, ``name.append(x)`` and the like.
    """
    node = expression_at(span)
    tree = parse_file(span.path) if span is not None else None
    if node is None or tree is None or span is None:
        return None
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    found: list[tuple[ast.stmt, bool]] = []
    for statement in ast.walk(tree):
        match statement:
            case ast.Assign(targets=[(ast.Subscript() | ast.Attribute()) as target]):
                base: ast.expr = target
                while isinstance(base, (ast.Subscript, ast.Attribute)):
                    base = base.value
                if isinstance(base, ast.Name) and base.id in names and isinstance(target, ast.Subscript):
                    found.append((statement, False))
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method))) if name in names:
                if method in ("setdefault", "update", "__setitem__", "append", "add"):
                    found.append((statement, method in ("append", "add")))
    if not found:
        return None
    first, is_added = min(found, key=lambda one: one[0].lineno)
    return span_of_node(span.path, first, span.function), is_added


def asked_name_made(span: SourceSpan | None) -> SourceSpan | None:
    """Where the tensor got its name whose gradient is asked for at a place: ``grad(score, x)``, ``x.grad``."""
    node = expression_at(span)
    asked: ast.expr | None = None
    match node:
        case ast.Call(args=[_, inputs, *_]):
            asked = inputs.elts[0] if isinstance(inputs, (ast.List, ast.Tuple)) and inputs.elts else inputs
        case ast.Attribute(value=holder):
            asked = holder
    return definition_of(span, asked) if span is not None and isinstance(asked, ast.Name) else None


def loop_with_zip(
    span: SourceSpan, arguments: Sequence[ast.expr | None], callers: Sequence[SourceSpan] = ()
) -> SourceSpan | None:
    """The ``zip(...)`` of the loop or comprehension around a place that binds the names used in ``arguments``.

    Where they are arguments of the function around the place, also one around its call; ``callers`` as elsewhere.
    """
    tree = parse_file(span.path)
    names = {part.id for node in arguments if node is not None for part in ast.walk(node) if isinstance(part, ast.Name)}
    for node in ast.walk(tree) if tree is not None else ():
        if not isinstance(node, (ast.For, ast.comprehension)):
            continue
        iterated = next(
            (n for n in ast.walk(node.iter) if isinstance(n, ast.Call) and ast.unparse(n.func) == "zip"), None
        )
        bound = {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)}
        end = (node.end_lineno or 0) if isinstance(node, ast.For) else node.iter.lineno + 1
        start = node.iter.lineno if isinstance(node, ast.For) else node.iter.lineno - 3
        if iterated is not None and bound & names and start <= span.line <= end:
            return span_of_node(span.path, iterated, span.function)
    call = expression_at(callers[0]) if callers else None
    given = [each for name in sorted(names) if (each := given_for(span, name, call)) is not None]
    return loop_with_zip(callers[0], given, callers[1:]) if given else None


def assignment_before(span: SourceSpan, name: str) -> SourceSpan | None:
    """The last assignment to a name before a place, in the same function, else in the module."""
    found = _assignment(span, name)
    return span_of_node(span.path, found, span.function) if found is not None else None


def _assignment(span: SourceSpan, name: str) -> ast.Assign | ast.AnnAssign | None:
    tree = parse_file(span.path)
    if tree is None:
        return None
    for scope in _scopes(tree, span.line):
        found = [node for node in _assignments(scope, name) if node.lineno < span.line]
        if found:
            return max(found, key=lambda node: node.lineno)
        if not isinstance(scope, ast.Module) and name.partition(".")[0] in _arguments(scope):
            return None  # given by the caller
    return None


def _scopes(tree: ast.Module, line: int) -> Iterator[_Scope]:
    """The functions around a line from the inside out, then the module."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    yield from sorted(around, key=lambda node: -node.lineno)
    yield tree


def _arguments(scope: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    given = scope.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return {argument.arg for argument in named if argument is not None}


def _assignments(scope: _Scope, name: str) -> Iterator[ast.Assign | ast.AnnAssign]:
    waiting: list[ast.AST] = list(scope.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(_written(part) == name for target in targets for part in _set_in(target)):
                yield node
        waiting.extend(ast.iter_child_nodes(node))


def _set_in(target: ast.expr) -> Iterator[ast.expr]:
    """What an assignment to a target sets, or changes an entry of."""
    match target:
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _set_in(part)
        case ast.Starred(value=inner) | ast.Subscript(value=inner):
            yield from _set_in(inner)
        case _:
            yield target


def _written(node: ast.expr) -> str:
    """A name, or an attribute of one, as it is written; empty for anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            return f"{owner}.{name}"
        case _:
            return ""
