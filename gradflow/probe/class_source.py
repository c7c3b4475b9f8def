"""The source code of a class as syntax trees: its methods, inherited ones too, and which of them `forward` leads to."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

from gradflow.location import SourceSpan, is_machinery

__all__ = ["ClassSource", "MethodSource", "class_source", "parse_file", "span_of_node"]

_ENTRIES = ("forward", "__call__")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MethodSource:
    """One method: its file, qualified name and syntax tree, with the parent of every node in it."""

    path: str
    name: str
    qualname: str
    node: ast.FunctionDef | ast.AsyncFunctionDef
    parents: dict[ast.AST, ast.AST]

    @property
    def self_name(self) -> str:
        """The name of its first argument, ``self`` by convention; empty for a method without one."""
        arguments = (*self.node.args.posonlyargs, *self.node.args.args)
        return arguments[0].arg if arguments else ""

    def span(self, node: ast.expr | ast.stmt) -> SourceSpan:
        """Where a node of the method stands."""
        return span_of_node(self.path, node, self.qualname)

    def text(self, node: ast.expr | ast.stmt) -> str:
        """The source text of a node on one line."""
        return " ".join(ast.unparse(node).split())

    def ancestors(self, node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
        """Pairs (child, parent) from a node up to the method itself."""
        while node is not self.node:
            parent = self.parents[node]
            yield node, parent
            node = parent


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSource:
    """The methods that an instance has. ``callers``: for each one that ``forward`` leads to, who calls it and where.

    ``forward`` itself is in ``callers`` with ``None``. ``is_machinery``: the code is torch's own.
    """

    methods: tuple[MethodSource, ...]
    callers: dict[MethodSource, tuple[MethodSource, ast.expr] | None]
    is_machinery: bool


def span_of_node(path: str, node: ast.expr | ast.stmt, function: str = "") -> SourceSpan:
    """A syntax node's place; syntax trees count columns in UTF-8 bytes from 0, a span in characters from 1."""
    end_line = node.end_lineno or node.lineno
    return SourceSpan(
        path=path,
        line=node.lineno,
        column=_characters(path, node.lineno, node.col_offset),
        end_line=end_line,
        end_column=_characters(path, end_line, node.end_col_offset or 0),
        function=function,
    )


def _characters(path: str, line: int, byte_count: int) -> int:
    return len(linecache.getline(path, line).encode()[:byte_count].decode(errors="ignore")) + 1


def parse_file(path: str) -> ast.Module | None:
    """The syntax tree of a file; ``None`` where it cannot be read or is not Python."""
    return _parse("".join(linecache.getlines(path)))


@functools.lru_cache(maxsize=128)
def _parse(source: str) -> ast.Module | None:
    try:
        return ast.parse(source) if source else None
    except (SyntaxError, ValueError):
        return None


def class_source(owner: type) -> ClassSource | None:
    """Read the methods of a class and of those it inherits from, short of ``torch.nn.Module`` itself.

    Returns ``None`` where no method has source code that can be read.
    """
    methods: list[MethodSource] = []
    hidden: list[MethodSource] = []
    names: set[str] = set()
    for cls in owner.__mro__:
        if cls is object or (cls.__name__, cls.__module__) == ("Module", "torch.nn.modules.module"):
            continue
        for method in _methods(cls):
            (hidden if method.name in names else methods).append(method)
        names.update(vars(cls))
    methods += [method for method in hidden if any(_calls_super(each, method.name) for each in methods)]
    if not methods:
        return None
    return ClassSource(
        methods=tuple(methods),
        callers=_callers(methods),
        is_machinery=is_machinery(methods[0].path),
    )


def _methods(cls: type) -> Iterator[MethodSource]:
    for name, value in vars(cls).items():
        function = inspect.unwrap(getattr(value, "__func__", getattr(value, "fget", None) or value))
        code = getattr(function, "__code__", None)
        if not isinstance(code, CodeType):
            continue
        tree = parse_file(code.co_filename)
        node = _definition(tree, code) if tree is not None else None
        if node is not None:
            parents = {child: parent for parent in ast.walk(node) for child in ast.iter_child_nodes(parent)}
            yield MethodSource(path=code.co_filename, name=name, qualname=code.co_qualname, node=node, parents=parents)


def _definition(tree: ast.Module, code: CodeType) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The definition that a code object was compiled from: same name, and its first line or that of a decorator."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == code.co_name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
    return None


def _calls_super(method: MethodSource, name: str) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == name
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "super"
        for node in ast.walk(method.node)
    )


def _callers(methods: list[MethodSource]) -> dict[MethodSource, tuple[MethodSource, ast.expr] | None]:
    by_name: dict[str, list[MethodSource]] = {}
    for method in methods:
        by_name.setdefault(method.name, []).append(method)
    callers: dict[MethodSource, tuple[MethodSource, ast.expr] | None] = {}
    for entry in _ENTRIES:
        for method in by_name.get(entry, ())[:1]:
            callers[method] = None
    waiting = list(callers)
    for caller in waiting:  # grows while it is walked: the methods found so far
        for node in ast.walk(caller.node):
            if not isinstance(node, ast.Attribute):
                continue
            of_super = isinstance(node.value, ast.Call) and _calls_super(caller, node.attr)
            of_self = isinstance(node.value, ast.Name) and node.value.id == caller.self_name
            found = by_name.get(node.attr, ())
            for method in found[1:] if of_super else found[:1] if of_self else ():
                if method not in callers:
                    callers[method] = (caller, node)
                    waiting.append(method)
    return callers
