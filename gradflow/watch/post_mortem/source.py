"""The source around a frame as a program listing: which statements gave a name its value, in the order of the text."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import CodeType

from gradflow.cell import earlier_cells
from gradflow.location import SourceSpan
from gradflow.source.class_source import parse_file, span_of_node
from gradflow.torch_facts.operations.queries import gives_argument_back

__all__ = [
    "Definition",
    "Function",
    "Listing",
    "Position",
    "as_function",
    "listing_of",
    "module_listing",
    "parameters",
    "parents_in",
    "text_of",
]

Position = tuple[int, int, int]
"""Orders statements: which block of the listing, the line in it, and the column."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
_STORING = frozenset({"append", "extend", "insert", "add", "update", "setdefault"})


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """A statement that gives a name its value.

    ``value`` is what is assigned, ``None`` where that is not an expression of its own. ``is_partial``: it adds to what
    the name holds, as ``losses.append(loss)`` and ``total += loss`` do.
    """

    path: str
    function: str
    position: Position
    node: ast.stmt | ast.expr
    value: ast.expr | None
    is_partial: bool = False

    def span(self, node: ast.expr | ast.stmt | None = None) -> SourceSpan:
        """The place of the definition, or of a part of it."""
        return span_of_node(self.path, node if node is not None else self.node, self.function)


class Listing:
    """The statements of one function, or of a module; in a notebook of all cells that have run, in their order.

    Parameters
    ----------
    blocks
        File and statements of each; more than one only in a notebook.
    function
        The definition; ``None`` for a module.
    name
        Qualified name for people.
    """

    def __init__(self, blocks: Sequence[tuple[str, Sequence[ast.stmt]]], function: Function | None, name: str) -> None:
        self.paths = tuple(path for path, _ in blocks)
        self.function = function
        self.name = name
        rows = ((number, node) for number, (_, body) in enumerate(blocks) for node in _statements(body))
        self.statements: list[tuple[Position, ast.stmt | ast.expr]] = sorted(
            (((number, node.lineno, node.col_offset), node) for number, node in rows), key=lambda row: row[0]
        )
        self._definitions: dict[str, list[Definition]] = {}
        for position, node in self.statements:
            for key, value, is_partial in _given(node):
                definition = Definition(self.paths[position[0]], name, position, node, value, is_partial)
                self._definitions.setdefault(key, []).append(definition)

    def definitions(self, key: str) -> Sequence[Definition]:
        """All statements that give ``key`` (``loss``, ``self.loss``) its value, in the order of the text."""
        return self._definitions.get(key, ())

    def around(self, position: Position) -> list[ast.stmt]:
        """The statements (``with``, ``for``, ``if``) that stand around a line, innermost first."""
        found = [
            node
            for (block, _, _), node in self.statements
            if block == position[0]
            and isinstance(node, (ast.With, ast.AsyncWith, ast.For, ast.AsyncFor, ast.While, ast.If, ast.Try))
            and node.body[0].lineno <= position[1] <= (node.end_lineno or 0)
        ]
        return sorted(found, key=lambda node: -node.lineno)


def module_listing(path: str) -> Listing | None:
    """The listing of a whole file, or of the cells of a notebook up to one; ``None`` where it cannot be read."""
    tree = parse_file(path)
    if tree is None:
        return None
    cells = [(cell, parsed) for cell in earlier_cells(path) if (parsed := parse_file(cell)) is not None]
    return Listing([*((cell, parsed.body) for cell, parsed in cells), (path, tree.body)], None, "<module>")


def listing_of(code: CodeType) -> Listing | None:
    """The listing that a code object belongs to; ``None`` where its source cannot be read."""
    if code.co_name == "<module>":
        return module_listing(code.co_filename)
    tree = parse_file(code.co_filename)
    if tree is None:
        return None
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == code.co_name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == code.co_firstlineno:
                return Listing([(code.co_filename, node.body)], node, code.co_qualname)
    return _lambda_listing(code, tree) if code.co_name == "<lambda>" else None


def _lambda_listing(code: CodeType, tree: ast.Module) -> Listing | None:
    """A lambda as a function with one ``return``; ``None`` where several start on the line."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno]
    if len(found) != 1:
        return None
    function = as_function(found[0])
    return Listing([(code.co_filename, function.body)], function, code.co_qualname)


def as_function(node: ast.Lambda) -> ast.FunctionDef:
    """A lambda as a definition with one ``return``, in the same place."""
    result = ast.copy_location(ast.Return(value=node.body), node.body)
    function = ast.FunctionDef(
        name="<lambda>", args=node.args, body=[result], decorator_list=[], returns=None, type_comment=None
    )
    return ast.copy_location(function, node)


def parameters(function: Function) -> list[str]:
    """The names of a function's parameters, in the order in which arguments fill them."""
    given = function.args
    rest = [one for one in (given.vararg, given.kwarg) if one is not None]
    return [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs, *rest)]


def parents_in(root: ast.AST) -> dict[ast.AST, ast.AST]:
    """The parent of every node below ``root``."""
    return {child: parent for parent in ast.walk(root) for child in ast.iter_child_nodes(parent)}


def text_of(node: ast.AST, limit: int = 60) -> str:
    """Source text on one line, shortened."""
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _statements(body: Sequence[ast.AST]) -> Iterator[ast.stmt | ast.expr]:
    """Statements, and expressions that may assign, without those of nested functions and classes."""
    waiting = list(reversed(body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(node, (ast.stmt, ast.expr)):
            yield node
        waiting.extend(reversed(list(ast.iter_child_nodes(node))))


def _given(node: ast.AST) -> Iterator[tuple[str, ast.expr | None, bool]]:
    """What a statement gives a value to, the value, and whether it only adds to what was there."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _assigned(target, value)
        case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value):
            yield from _assigned(target, value)
        case ast.AugAssign(target=target, value=value):
            for key, given, _ in _assigned(target, value):
                yield key, given, True
        case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
            yield from _assigned(target, value)
        case ast.With(items=items) | ast.AsyncWith(items=items):
            for item in items:
                if item.optional_vars is not None:
                    yield from _assigned(item.optional_vars, item.context_expr)
        case ast.Call(func=ast.Attribute(value=ast.Name() | ast.Attribute() as owner, attr=name), args=arguments) if (
            name != "requires_grad_"
        ):
            if name == "detach_":
                yield ast.unparse(owner), node, False
            elif name in _STORING or (gives_argument_back(name) and not name.startswith("_")):
                for argument in arguments:
                    yield ast.unparse(owner), argument, True


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr | None, bool]]:
    if isinstance(target, (ast.Name, ast.Attribute)):
        yield ast.unparse(target), value, False
    elif isinstance(target, ast.Subscript):
        yield ast.unparse(target), value, False
        yield ast.unparse(target.value), value, True
    elif isinstance(target, ast.Starred):
        yield from _assigned(target.value, value)
    elif isinstance(target, (ast.Tuple, ast.List)):
        parts = value.elts if isinstance(value, (ast.Tuple, ast.List)) else []
        for index, part in enumerate(target.elts):
            if len(parts) == len(target.elts):
                yield from _assigned(part, parts[index])
            elif isinstance(value, ast.Call):
                # `values, indices = x.max(1)`: which of the two it is decides whether it has a derivative
                item = ast.Subscript(value=value, slice=ast.Constant(value=index), ctx=ast.Load())
                yield from _assigned(part, ast.copy_location(item, value))
            else:
                yield from _assigned(part, value)
