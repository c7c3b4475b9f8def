"""Whether what is computed at one place of a program's source goes into what is computed at another, by its names."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator

from gradflow.location import SourceSpan
from gradflow.source.class_source import parse_file
from gradflow.source.definitions import expression_at
from gradflow.torch_facts.operations.queries import has

__all__ = ["is_written_out", "leads_to"]

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Key = tuple[object, object]
_FILLING = frozenset({"append", "extend", "insert", "add", "appendleft", "update", "push", "put"})
_EMPTY = frozenset({"list", "dict", "set", "deque"})


def leads_to(here: SourceSpan | None, there: SourceSpan | None) -> bool:
    """Follow assignments, containers, arguments and returned values within one file; order and branches do not count.

    ``False`` means only that no name leads from one to the other.
    """
    if here is None or there is None or here.path != there.path:
        return False
    flow, goal = _flow_from(here), _expression(there)
    return flow is not None and goal is not None and flow.is_reached(goal)


@functools.lru_cache(maxsize=4096)
def _expression(span: SourceSpan) -> ast.expr | None:
    return expression_at(span)


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


@functools.lru_cache(maxsize=256)
def _flow_from(here: SourceSpan) -> _Flow | None:
    tree, source = parse_file(here.path), expression_at(here)
    if tree is None or source is None:
        return None
    flow = _Flow(_index_of(tree), source)
    flow.run()
    return flow


@functools.lru_cache(maxsize=32)
def _index_of(tree: ast.Module) -> _Index:
    return _Index(tree)


class _Index:
    """What each expression of a file uses: names, each with the function that it belongs to, and called functions."""

    def __init__(self, tree: ast.Module) -> None:
        self.statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt | ast.Call | ast.comprehension)]
        self.functions: dict[str, _Function] = {}
        self.owner: dict[ast.AST, _Function | ast.Module] = {}
        self._tree = tree
        self._uses: dict[ast.AST, frozenset[_Key]] = {}
        self._note_owners(tree, tree)

    def _note_owners(self, node: ast.AST, owner: _Function | ast.Module) -> None:
        for child in ast.iter_child_nodes(node):
            self.owner[child] = owner
            if isinstance(child, _Function):
                self.functions[child.name] = child
            self._note_owners(child, child if isinstance(child, _Function) else owner)

    def uses(self, node: ast.AST) -> frozenset[_Key]:
        """Its parts, the names in it, and the functions that it calls."""
        found = self._uses.get(node)
        if found is None:
            keys: set[_Key] = set()
            for part in ast.walk(node):
                keys.add(("part", part))
                keys.update(self.keys(part))
                keys.update((self._tree, name) for scope, name in self.keys(part) if scope != "attribute")
                if isinstance(part, ast.Call):
                    keys.add(("call", _called(part)))
            found = self._uses[node] = frozenset(keys)
        return found

    def keys(self, node: ast.AST) -> Iterator[_Key]:
        """A plain name, or an attribute of one, such as ``self.history``; nothing for other expressions."""
        match node:
            case ast.Name(id=name):
                yield self.owner.get(node, self._tree), name
            case ast.Attribute(value=ast.Name(id=owner), attr=name):
                yield "attribute", f"{owner}.{name}"


class _Flow:
    """What holds the value of one expression, or something computed from it."""

    def __init__(self, index: _Index, source: ast.expr) -> None:
        self._index = index
        self._source: _Key = ("part", source)
        self._held: set[_Key] = {self._source}
        self._reused: set[_Key] = set()

    def run(self) -> None:
        """Until nothing new is found; without the names that are used again for something else."""
        while True:
            before = len(self._held)
            for node in self._index.statements:
                self._follow(node)
            if len(self._held) > before:
                continue
            reused = {key for node in self._index.statements for key in self._used_for_something_else(node)}
            reused -= self._reused
            if not reused:
                return
            self._reused |= reused
            self._held = {self._source}

    def is_reached(self, node: ast.AST) -> bool:
        """Whether an expression uses what is followed."""
        return not self._index.uses(node).isdisjoint(self._held)

    def _used_for_something_else(self, node: ast.AST) -> Iterator[_Key]:
        """A followed name that is also assigned what does not come from here: which of both it holds, nobody knows.

        A start value, as in ``total = 0.0`` or ``kept = []``, does not count.
        """
        if isinstance(node, ast.Assign) and not self.is_reached(node.value) and not _is_start(node.value):
            for target in node.targets:
                if not isinstance(target, ast.Subscript):
                    yield from (key for key in self._keys(target) if key in self._held)

    def _take(self, target: ast.AST) -> None:
        self._held.update(key for key in self._keys(target) if key not in self._reused)

    def _keys(self, target: ast.AST) -> Iterator[_Key]:
        for part in _targets(target):
            yield from self._index.keys(part)

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
                owner = self._index.owner.get(node)
                if isinstance(owner, _Function):
                    self._held.add(("call", owner.name))
            case ast.Call():
                self._follow_call(node)

    def _follow_call(self, call: ast.Call) -> None:
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        if not any(map(self.is_reached, given)):
            return
        if isinstance(call.func, ast.Attribute) and call.func.attr in _FILLING:
            self._take(call.func.value)
        function = self._index.functions.get(_called(call))
        if function is None:
            return
        names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
        if names[:1] == ["self"]:
            names = names[1:]
        passed = [*zip(names, call.args, strict=False), *((k.arg, k.value) for k in call.keywords if k.arg)]
        self._held.update((function, name) for name, argument in passed if self.is_reached(argument))


def _is_start(node: ast.expr) -> bool:
    """A constant, or what is filled or added to later: an empty container, a tensor of zeros."""
    match node:
        case ast.Constant() | ast.List(elts=[]) | ast.Dict(keys=[]):
            return True
        case ast.Call():
            return (called := _called(node)) in _EMPTY or has(called, "makes")
        case ast.Tuple(elts=parts):
            return all(map(_is_start, parts))
    return False


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
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
