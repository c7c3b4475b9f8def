"""What the transformations share: names in a piece of code, names that are new, statements made from text."""

from __future__ import annotations

import ast
import builtins
import textwrap
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import libcst as cst

from tests.paraphrase.marks import marked
from tests.paraphrase.program import Question

Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement
BUILTINS = frozenset(dir(builtins))


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a transformation made of a program."""

    module: cst.Module
    helpers: dict[str, cst.Module] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # attributes of the user's classes -> their new names
    adds_parameters: bool = False


@dataclass(frozen=True)
class Seen:
    """What all values at a place had in common."""

    is_tensor: bool
    dimensions: int  # the fewest


@dataclass(frozen=True, kw_only=True)
class Source:
    """A program as a transformation sees it: its code, marked, and the names that must stay.

    `see` runs a version of the program that notes values, and tells for each number what was noted.
    """

    module: cst.Module
    question: Question
    see: Callable[[cst.Module], Mapping[int, Seen]]

    @property
    def text(self) -> str:
        return self.module.code

    def fresh(self, stem: str) -> Iterator[str]:
        """Names `stem_1`, `stem_2` that stand nowhere in the program."""
        number = 0
        while True:
            number += 1
            if f"{stem}_{number}" not in self.text:
                yield f"{stem}_{number}"


def code_of(node: cst.CSTNode) -> str:
    return textwrap.dedent(cst.Module([]).code_for_node(node)).strip("\n")


def tree_of(node: cst.CSTNode) -> ast.AST:
    """The same code as a tree of `ast`, where loads and stores are told apart."""
    code = code_of(node)
    return ast.parse(f"(\n{code}\n)", mode="eval") if isinstance(node, cst.BaseExpression) else ast.parse(code)


def bound_in(tree: ast.AST) -> set[str]:
    """Every name that is given a value anywhere in the code, in whatever scope."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler):
            names |= {node.name} if node.name else set()
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
    return names


def read_in(tree: ast.AST) -> set[str]:
    """Every name whose value is read."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def imported_in(tree: ast.AST) -> set[str]:
    """The names that imports bind."""
    return {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }


def contains(tree: ast.AST, *kinds: type[ast.AST]) -> bool:
    return any(isinstance(node, kinds) for node in ast.walk(tree))


def calls_super(tree: ast.AST) -> bool:
    """Whether code reads what only a method has."""
    return not read_in(tree).isdisjoint({"super", "__class__", "locals", "globals", "vars"})


def statement(text: str, marks: Iterable[int] = ()) -> cst.SimpleStatementLine:
    """A statement of one line, that stands for the marked lines."""
    made = cst.parse_statement(text)
    assert isinstance(made, cst.SimpleStatementLine)
    return marked(made, marks)


def only_small(node: cst.CSTNode) -> cst.BaseSmallStatement | None:
    """The one statement of a line, where there is one."""
    if isinstance(node, cst.SimpleStatementLine) and len(node.body) == 1:
        return node.body[0]
    return None


def is_docstring(node: cst.CSTNode) -> bool:
    small = only_small(node)
    return isinstance(small, cst.Expr) and isinstance(small.value, cst.SimpleString | cst.ConcatenatedString)


def body_of(node: cst.FunctionDef | cst.ClassDef) -> Sequence[cst.BaseStatement]:
    """The statements of a definition, without its docstring; none of a body on the same line."""
    if not isinstance(node.body, cst.IndentedBlock):
        return ()
    statements = node.body.body
    return statements[1:] if statements and is_docstring(statements[0]) else statements


def after_imports(module: cst.Module) -> int:
    """Where the first statement after docstring and imports stands."""
    place = 0
    for number, node in enumerate(module.body):
        small = only_small(node)
        if isinstance(small, cst.Import | cst.ImportFrom) or (number == 0 and is_docstring(node)):
            place = number + 1
        elif isinstance(node, cst.FunctionDef | cst.ClassDef):
            break
    return place


class BlockTransformer(cst.CSTTransformer):
    """Changes lists of statements: those of a module and of every indented block."""

    @abstractmethod
    def change_block(self, statements: Sequence[cst.BaseStatement], *, in_module: bool) -> list[cst.BaseStatement]:
        """The statements that stand in the place of these."""

    def leave_IndentedBlock(
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.IndentedBlock:
        return updated_node.with_changes(body=self.change_block(updated_node.body, in_module=False))

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        return updated_node.with_changes(body=self.change_block(updated_node.body, in_module=True))
