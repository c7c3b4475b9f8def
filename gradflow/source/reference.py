"""Which expressions stand for a sub-module: `self.layers[0].attn`, a loop variable, `getattr(self, "fc")`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from gradflow.source.class_source import MethodSource

__all__ = ["Counter", "Reference", "References"]

_SAME_ELEMENTS = ("reversed", "list", "tuple", "iter", "sorted", "set")


@dataclass(frozen=True, slots=True)
class Reference:
    """An expression that stands for the first ``depth`` parts of the path of a sub-module.

    ``part``: the subscript by which some of several elements were chosen, where it is not a constant; ``iterates``:
    whether a loop goes over them. ``is_counted``: the index is what a loop counts through, ``part`` is what that loop
    goes over, as ``range(depth - 1)``. ``is_fixed``: the index is written out, as ``-1``, and which element that is
    depends on how many there are. ``part_of`` is the method in which ``part`` stands. ``chosen`` are the
    expressions that gave the name that is used this meaning, each with what resolves its method.
    """

    depth: int
    part: ast.expr | None = None
    part_of: MethodSource | None = None
    iterates: bool = False
    is_counted: bool = False
    is_fixed: bool = False
    chosen: tuple[tuple[References, ast.expr], ...] = ()


@dataclass(frozen=True, slots=True)
class Counter:
    """What a loop counts through, and the method in which it does."""

    iterable: ast.expr
    method: MethodSource


class References:
    """Resolves the expressions of one method against a path such as ``("layers", "0", "attn")``.

    Parameters
    ----------
    method, path
        The method, and the sub-module that is looked for.
    given
        What its arguments stand for; by default the first one is the module itself.
    counters
        For an argument that is the index of a loop around its call, that loop.
    """

    def __init__(
        self,
        method: MethodSource,
        path: tuple[str, ...],
        given: Mapping[str, Reference] | None = None,
        counters: Mapping[str, Counter] | None = None,
    ) -> None:
        self.method = method
        self._path = path
        self._given = {method.self_name: Reference(0)} if given is None else given
        self._counters = counters or {}
        self._assigned: dict[str, ast.expr] = {}
        for node in ast.walk(method.node):
            for name, value in _assignments(node):
                if name not in self._assigned or self.resolve(value):
                    self._assigned[name] = value

    def resolve(self, node: ast.AST, _seen: frozenset[str] = frozenset()) -> Reference | None:
        """What an expression stands for; ``None`` when it is not on the path."""
        match node:
            case ast.Name(id=name):
                if name in self._given:
                    return self._given[name]
                return self._variable(node, _seen) if name not in _seen else None
            case ast.Attribute(value=value, attr="_modules"):
                return self.resolve(value, _seen)
            case ast.Attribute(value=value, attr=name):
                return self._step(self.resolve(value, _seen), lambda part: part == name)
            case ast.Subscript(value=value, slice=index):
                return self._element(node, self.resolve(value, _seen), index)
            case ast.Call(func=ast.Name(id="getattr"), args=[value, name, *_]):
                return self._by_name(node, self.resolve(value, _seen), name)
            case ast.Call(func=ast.Attribute(value=value, attr="get_submodule"), args=[ast.Constant(value=str(name))]):
                return self._by_path(self.resolve(value, _seen), name)
            case ast.IfExp(body=first, orelse=second):
                return self._chosen(first, _seen) or self._chosen(second, _seen)
            case ast.NamedExpr(value=value) | ast.Starred(value=value):
                return self.resolve(value, _seen)
            case _:
                return None

    def is_module(self, node: ast.expr) -> bool:
        """Whether an expression stands for the module itself."""
        found = self.resolve(node)
        return found is not None and found.depth == 0

    def is_known_to_exist(self, test: ast.expr) -> bool:
        """Whether a condition only asks if the sub-module is there, as in ``self.aux is not None``: it is."""
        match test:
            case ast.Compare(left=left, ops=[ast.Is() | ast.IsNot()], comparators=[ast.Constant(value=None)]):
                return self._is_on_path(left)
            case ast.Call(func=ast.Name(id="hasattr"), args=[value, ast.Constant(value=name)]):
                return self._step(self.resolve(value), lambda part: part == name) is not None
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self.is_known_to_exist(operand)
            case _:
                return self._is_on_path(test)

    def _is_on_path(self, node: ast.expr) -> bool:
        found = self.resolve(node)
        return found is not None and found.depth > 0

    def _step(self, reference: Reference | None, matches: object) -> Reference | None:
        if reference is None or reference.depth >= len(self._path) or not callable(matches):
            return None
        return replace(reference, depth=reference.depth + 1) if matches(self._path[reference.depth]) else None

    def _by_name(self, node: ast.Call, owner: Reference | None, name: ast.expr) -> Reference | None:
        is_written = isinstance(name, (ast.Constant, ast.JoinedStr, ast.BinOp))
        if not is_written and owner is not None and owner.depth < len(self._path):
            return replace(owner, depth=owner.depth + 1, part=node, part_of=self.method)
        return self._step(owner, lambda part: _may_be(name, part))

    def _by_path(self, owner: Reference | None, path: str) -> Reference | None:
        for piece in path.split("."):
            owner = self._step(owner, lambda part, piece=piece: part == piece)
        return owner

    def _element(self, node: ast.Subscript, container: Reference | None, index: ast.expr) -> Reference | None:
        if container is None or container.depth >= len(self._path):
            return None
        match index:
            case ast.Slice():
                return replace(container, part=node, part_of=self.method)
            case ast.Constant(value=value):
                return self._step(container, lambda part: part == str(value))
            case _:
                counter = self.counter(index)
                part, owner = (counter.iterable, counter.method) if counter is not None else (node, self.method)
                return replace(
                    container,
                    depth=container.depth + 1,
                    part=part,
                    part_of=owner,
                    is_counted=counter is not None,
                    is_fixed=_is_written_out(index),
                )

    def counter(self, index: ast.expr) -> Counter | None:
        """What a loop goes over that sets an index and runs to its end: it alone decides which elements are picked."""
        if not isinstance(index, ast.Name):
            return None
        for child, parent in self.method.ancestors(index):
            for target, iterable in _loops(parent):
                if child is iterable or not isinstance(target, ast.Name) or target.id != index.id:
                    continue
                leaves = any(isinstance(node, (ast.Break, ast.Continue, ast.Return)) for node in ast.walk(parent))
                whole = "len" in _called(iterable) and not _calculates(iterable)
                return None if leaves or whole else Counter(iterable, self.method)
        return self._counters.get(index.id)

    def _variable(self, node: ast.Name, seen: frozenset[str]) -> Reference | None:
        """What a local name stands for: the innermost loop that sets it, else its assignment."""
        seen = seen | {node.id}
        for child, parent in self.method.ancestors(node):
            loops = _loops(parent)
            if isinstance(parent, (ast.For, ast.AsyncFor)) and child not in parent.body:
                continue
            for target, iterable in loops:
                if any(isinstance(name, ast.Name) and name.id == node.id for name in ast.walk(target)):
                    return self._loop_element(target, iterable, node.id, seen)
        value = self._assigned.get(node.id)
        return self._chosen(value, seen) if value is not None else None

    def _chosen(self, node: ast.expr, seen: frozenset[str]) -> Reference | None:
        found = self.resolve(node, seen)
        return replace(found, chosen=(*found.chosen, (self, node))) if found is not None else None

    def _loop_element(self, target: ast.expr, iterable: ast.expr, name: str, seen: frozenset[str]) -> Reference | None:
        match target, iterable:
            case _, ast.Call(func=ast.Name(id=function), args=[inner, *_]) if function in _SAME_ELEMENTS:
                return self._loop_element(target, inner, name, seen)
            case _, ast.Call(func=ast.Attribute(value=inner, attr="values" | "children")):
                return self._loop_element(target, inner, name, seen)
            case ast.Tuple(elts=[_, value]), ast.Call(func=ast.Name(id="enumerate"), args=[inner, *_]):
                return self._loop_element(value, inner, name, seen)
            case ast.Tuple(elts=[_, value]), ast.Call(func=ast.Attribute(value=inner, attr="items" | "named_children")):
                return self._loop_element(value, inner, name, seen)
            case ast.Tuple(elts=values), ast.Call(func=ast.Name(id="zip"), args=iterables):
                for value, inner in zip(values, iterables, strict=False):
                    found = self._loop_element(value, inner, name, seen)
                    if found is not None:
                        return found
                return None
            case ast.Name(id=found_name), _ if found_name == name:
                container = self.resolve(iterable, seen)
                if container is None or container.depth >= len(self._path):
                    return None
                return replace(container, depth=container.depth + 1, iterates=True)
            case _:
                return None


def _loops(node: ast.AST) -> list[tuple[ast.expr, ast.expr]]:
    match node:
        case ast.For(target=target, iter=iterable) | ast.AsyncFor(target=target, iter=iterable):
            return [(target, iterable)]
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            return [(generator.target, generator.iter) for generator in node.generators]
        case _:
            return []


def _called(node: ast.expr) -> set[str]:
    """Names of the functions that are called in an expression."""
    return {each.func.id for each in ast.walk(node) if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)}


def _calculates(node: ast.expr) -> bool:
    """Whether an expression does arithmetic: ``range(len(self.blocks) - 1)`` does, ``range(len(self.blocks))`` not."""
    return any(isinstance(each, ast.BinOp) for each in ast.walk(node))


def _is_written_out(node: ast.expr) -> bool:
    """Whether an expression has one value only, whatever the program does: ``-1``, ``2 * 3``."""
    return not any(isinstance(each, (ast.Name, ast.Call, ast.Attribute, ast.NamedExpr)) for each in ast.walk(node))


def _assignments(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                match target, value:
                    case ast.Name(id=name), _:
                        yield name, value
                    case ast.Tuple(elts=names), ast.Tuple(elts=values) if len(names) == len(values):
                        yield from (
                            (one.id, each) for one, each in zip(names, values, strict=True) if isinstance(one, ast.Name)
                        )
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield name, value


def _may_be(name: ast.expr, part: str) -> bool:
    """Whether the second argument of ``getattr`` can be this name; of an f-string, the constant pieces must fit."""
    match name:
        case ast.Constant(value=value):
            return bool(value == part)
        case ast.JoinedStr(values=values):
            pattern = "".join(
                re.escape(str(piece.value)) if isinstance(piece, ast.Constant) else ".*" for piece in values
            )
            return re.fullmatch(pattern, part) is not None
        case ast.BinOp(op=ast.Add(), left=ast.Constant(value=str(start))):
            return part.startswith(start)
        case _:
            return False
