"""The source code of a class as syntax trees: its methods, inherited ones too."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

from gradflow.location import SourceSpan, character_column, is_machinery
from gradflow.source_texts import lines_of

__all__ = [
    "ClassSource",
    "MethodSource",
    "calls_super",
    "class_source",
    "function_source",
    "parse_file",
    "parsed",
    "span_of_node",
]

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MethodSource:
    """One method, or another function: its file, qualified name and syntax tree, with the parent of every node in it.

    ``function`` is the function that the code belongs to.
    """

    path: str
    name: str
    qualname: str
    node: Definition
    parents: dict[ast.AST, ast.AST]
    function: object = None

    @property
    def self_name(self) -> str:
        """The name of its first argument, ``self`` by convention; empty for a method without one."""
        arguments = (*self.node.args.posonlyargs, *self.node.args.args)
        return arguments[0].arg if arguments else ""

    def span(self, node: ast.expr | ast.stmt | ast.pattern) -> SourceSpan:
        """Where a node of the method stands."""
        return span_of_node(self.path, node, self.qualname)

    def text(self, node: ast.expr | ast.stmt | ast.pattern) -> str:
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
    """The methods that an instance has; ``is_machinery``: their code is torch's own."""

    methods: tuple[MethodSource, ...]
    is_machinery: bool


def span_of_node(path: str, node: ast.expr | ast.stmt | ast.pattern, function: str = "") -> SourceSpan:
    """A syntax node's place; syntax trees count columns in UTF-8 bytes from 0, a span in characters from 1."""
    end_line = node.end_lineno or node.lineno
    return SourceSpan(
        path=path,
        line=node.lineno,
        column=character_column(path, node.lineno, node.col_offset),
        end_line=end_line,
        end_column=character_column(path, end_line, node.end_col_offset or 0),
        function=function,
    )


def parse_file(path: str) -> ast.Module | None:
    """The syntax tree of a file; ``None`` where it cannot be read or is not Python."""
    return parsed("".join(lines_of(path)))


@functools.lru_cache(maxsize=128)
def parsed(source: str) -> ast.Module | None:
    """The syntax tree of a text; ``None`` where there is none, or it is not Python."""
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
    methods += [method for method in hidden if any(calls_super(each, method.name) for each in methods)]
    if not methods:
        return None
    return ClassSource(methods=tuple(methods), is_machinery=is_machinery(methods[0].path))


def _methods(cls: type) -> Iterator[MethodSource]:
    for name, value in vars(cls).items():
        method = function_source(
            inspect.unwrap(getattr(value, "__func__", getattr(value, "fget", None) or value)), name
        )
        if method is not None:
            yield method


def function_source(function: object, name: str) -> MethodSource | None:
    """The source code of a function, called ``name``; ``None`` where it has none that can be read."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return None
    tree = parse_file(code.co_filename)
    node = _definition(tree, code) if tree is not None else None
    if node is None:
        return None
    return MethodSource(
        path=code.co_filename,
        name=name,
        qualname=code.co_qualname,
        node=node,
        parents={child: parent for parent in ast.walk(node) for child in ast.iter_child_nodes(parent)},
        function=function,
    )


def _definition(tree: ast.Module, code: CodeType) -> Definition | None:
    """The definition that a code object was compiled from: same name, and its first line or that of a decorator."""
    lambdas: list[ast.Lambda] = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == code.co_name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
        elif isinstance(node, ast.Lambda) and code.co_name == "<lambda>" and node.lineno == code.co_firstlineno:
            lambdas.append(node)
    # of two on one line, it may be either
    return lambdas[0] if len(lambdas) == 1 else None


def calls_super(method: MethodSource, name: str) -> bool:
    """Whether a method calls the one of this name that its class inherits."""
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == name
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "super"
        for node in ast.walk(method.node)
    )
