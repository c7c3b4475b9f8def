"""Whether what is computed at one place of a program's source goes into what is computed at another, by its names."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator

from gradflow.location import SourceSpan
from gradflow.probe.class_source import parse_file
from gradflow.watch.definitions import expression_at

__all__ = ["is_written_out", "leads_to"]

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_FILLING = frozenset({"append", "extend", "insert", "add", "appendleft", "update", "push", "put"})
_ROUNDS = 12


def leads_to(here: SourceSpan | None, there: SourceSpan | None) -> bool:
    """Follow assignments, containers, arguments and returned values within one file; order and branches do not count.

    ``False`` means only that no name leads from one to the other.
    """
    if here is None or there is None or here.path != there.path:
        return False
    source, goal = expression_at(here), expression_at(there)
    tree = parse_file(here.path)
    if tree is None or source is None or goal is None:
        return False
    flow = _Flow(tree, source)
    flow.run()
    return flow.is_reached(goal)


@functools.lru_cache(maxsize=1024)
def is_written_out(span: SourceSpan | None) -> bool:
    """Whether a call's arguments are constants throughout, as in ``torch.tensor([0.0, 1.0])``."""
    node = expression_at(span)
    if not isinstance(node, ast.Call):
        return False
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    plain = (ast.Constant, ast.List, ast.Tuple, ast.UnaryOp, ast.unaryop, ast.expr_context, ast.Attribute)
    return all(isinstance(part, plain) or _is_torch(part) for argument in given for part in ast.walk(argument))


def _is_torch(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in ("torch", "np", "numpy")


class _Flow:
    """Names, each with the function that it belongs to, and functions that hold what the source expression gave."""

    def __init__(self, tree: ast.Module, source: ast.expr) -> None:
        self._tree = tree
        self._source = source
        self._names: set[tuple[int, str]] = set()
        self._functions: set[str] = set()
        self._scope_of: dict[int, ast.AST] = {}
        self._owner: dict[int, _Function | ast.Module] = {}
        self._defined: dict[str, _Function] = {}
        self._note_scopes(tree, tree)

    def _note_scopes(self, node: ast.AST, owner: _Function | ast.Module) -> None:
        for child in ast.iter_child_nodes(node):
            self._owner[id(child)] = owner
            if isinstance(child, _Function):
                self._defined[child.name] = child
                self._note_scopes(child, child)
            else:
                self._note_scopes(child, owner)

    def run(self) -> None:
        """Until nothing new is found."""
        kinds = (ast.stmt, ast.Call, ast.comprehension)
        statements = [node for node in ast.walk(self._tree) if isinstance(node, kinds)]
        for _ in range(_ROUNDS):
            before = len(self._names) + len(self._functions)
            for node in statements:
                self._follow(node)
            if len(self._names) + len(self._functions) == before:
                return

    def is_reached(self, node: ast.AST) -> bool:
        """Whether an expression uses what is followed."""
        for part in ast.walk(node):
            if part is self._source or self._holds(part):
                return True
            if isinstance(part, ast.Call) and _called(part) in self._functions:
                return True
        return False

    def _holds(self, node: ast.AST) -> bool:
        text = _name_of(node)
        if not text:
            return False
        if "." in text:
            return (0, text) in self._names
        owner = self._owner.get(id(node), self._tree)
        return (id(owner), text) in self._names or (id(self._tree), text) in self._names

    def _take(self, target: ast.AST) -> None:
        for part in _targets(target):
            text = _name_of(part)
            owner = self._owner.get(id(part), self._tree)
            if text:
                self._names.add((0 if "." in text else id(owner), text))

    def _follow(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=targets, value=value) if self.is_reached(value):
                for target in targets:
                    self._take(target)
            case ast.AugAssign(target=target, value=ast.expr() as value) if self.is_reached(value):
                self._take(target)
            case ast.AnnAssign(target=target, value=ast.expr() as value) if self.is_reached(value):
                self._take(target)
            case ast.For(target=target, iter=iterated) | ast.comprehension(target=target, iter=iterated) if (
                self.is_reached(iterated)
            ):
                self._take(target)
            case ast.Return(value=ast.expr() as value) if self.is_reached(value):
                owner = self._owner.get(id(node))
                if isinstance(owner, _Function):
                    self._functions.add("__call__" if owner.name == "forward" else owner.name)
                    self._functions.add(owner.name)
            case ast.Call():
                self._follow_call(node)

    def _follow_call(self, call: ast.Call) -> None:
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        if not any(map(self.is_reached, given)):
            return
        if isinstance(call.func, ast.Attribute) and call.func.attr in _FILLING:
            self._take(call.func.value)
        function = self._defined.get(_called(call))
        if function is not None:
            names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
            if names[:1] == ["self"]:
                names = names[1:]
            for name, argument in zip(names, call.args, strict=False):
                if self.is_reached(argument):
                    self._names.add((id(function), name))
            for keyword in call.keywords:
                if keyword.arg and self.is_reached(keyword.value):
                    self._names.add((id(function), keyword.arg))


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _name_of(node: ast.AST) -> str:
    """A plain name, or an attribute of one, such as ``self.history``."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            return f"{owner}.{name}"
    return ""


def _targets(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _targets(part)
        case ast.Starred(value=value) | ast.Subscript(value=value):
            yield from _targets(value)
        case _:
            yield node
