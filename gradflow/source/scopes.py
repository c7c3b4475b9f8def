"""The code that a module runs: its methods, and the functions that these hand the module, or a part of it, to.

``return run_second(self, x)`` calls whatever ``run_second`` calls of its argument, in this file or another.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import TypeGuard, TypeVar

from gradflow.source.class_source import MethodSource, calls_super, function_source
from gradflow.source.handed_on import arguments_of, called_function
from gradflow.source.reference import References

__all__ = ["Scope", "find_scopes"]

Kind = TypeVar("Kind")

_ENTRIES = ("forward", "__call__")
_DEEPEST = 8
"""How many functions may hand a module on, one to the next."""
_MOST = 200
"""How many calls that hand it on are followed."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Scope:
    """A method, or one call of a function that is handed the module or a part of it.

    ``references`` resolves what stands in it. ``called`` says from where it is called on the way from ``forward``:
    ``None`` for ``forward`` itself, and for a method that nothing leads to.
    """

    method: MethodSource
    references: References
    is_reached: bool
    called: tuple[Scope, ast.expr] | None = None
    is_helper: bool = False

    def callers(self) -> Iterator[Scope]:
        """The scopes that lead here, from the nearest on."""
        scope = self
        while scope.called is not None:
            scope = scope.called[0]
            yield scope


def find_scopes(methods: Sequence[MethodSource], path: tuple[str, ...]) -> list[Scope] | None:
    """The methods of a class, in order, and what they hand on of the way along ``path`` to a sub-module.

    ``None`` where that is handed on too often to be followed: what does not stand in a part of it is not missing.
    """
    by_name: dict[str, list[MethodSource]] = {}
    for method in methods:
        by_name.setdefault(method.name, []).append(method)
    finder = _Finder(by_name, path)
    entries = [method for entry in _ENTRIES for method in by_name.get(entry, ())[:1]]
    finder.add(Scope(method=each, references=References(each, path), is_reached=True) for each in entries)
    rest = [each for each in methods if each not in finder.of_method]
    finder.add(Scope(method=each, references=References(each, path), is_reached=False) for each in rest)
    if not finder.is_whole:
        return None
    return [*(finder.of_method[each] for each in methods), *finder.helpers]


class _Finder:
    def __init__(self, by_name: Mapping[str, list[MethodSource]], path: tuple[str, ...]) -> None:
        self._by_name, self._path = by_name, path
        self._methods = {name: found[0] for name, found in by_name.items()}
        self.of_method: dict[MethodSource, Scope] = {}
        self.helpers: list[Scope] = []
        self.is_whole = True

    def add(self, scopes: Iterable[Scope]) -> None:
        """Keep scopes, and follow what they call."""
        waiting = list(scopes)
        self.of_method.update((scope.method, scope) for scope in waiting)
        for scope in waiting:  # grows while it is walked
            if scope.is_reached:
                for method, node in self._called_methods(scope):
                    if method not in self.of_method:
                        found = Scope(
                            method=method,
                            references=References(method, self._path),
                            is_reached=True,
                            called=(scope, node),
                        )
                        self.of_method[method] = found
                        waiting.append(found)
            waiting.extend(self._handed_on(scope))

    def _called_methods(self, scope: Scope) -> Iterator[tuple[MethodSource, ast.expr]]:
        """Other methods of the module that a scope leads to, and where."""
        caller = scope.method
        for node in ast.walk(caller.node):
            if not isinstance(node, ast.Attribute):
                continue
            of_super = isinstance(node.value, ast.Call) and calls_super(caller, node.attr)
            found = self._by_name.get(node.attr, ())
            for method in found[1:] if of_super else found[:1] if scope.references.is_module(node.value) else ():
                yield method, node

    def _handed_on(self, scope: Scope) -> Iterator[Scope]:
        """Functions that a scope gives the module, or what is on the way to the sub-module, one for each call."""
        callers = [scope, *scope.callers()]
        for node in ast.walk(scope.method.node):
            if not isinstance(node, ast.Call):
                continue
            function, is_bound = self._function(node, scope)
            if function is None or any(each.method.function is function and each.is_helper for each in callers):
                continue
            arguments = dict(arguments_of(node, function, is_bound=is_bound))
            given = _found(scope.references.resolve, arguments)
            method = function_source(function, function.__name__) if given else None
            if method is None:
                continue
            if len(callers) > _DEEPEST or len(self.helpers) >= _MOST:
                self.is_whole = False
                return
            # an argument that is set again may stand for anything
            kept = arguments.keys() - {each.id for each in ast.walk(method.node) if _is_set(each)}
            counters = _found(scope.references.counter, arguments)
            references = References(
                method,
                self._path,
                {name: given[name] for name in given.keys() & kept},
                {name: counters[name] for name in counters.keys() & kept},
            )
            helper = Scope(
                method=method,
                references=references,
                is_reached=scope.is_reached,
                called=(scope, node),
                is_helper=True,
            )
            self.helpers.append(helper)
            yield helper

    def _function(self, call: ast.Call, scope: Scope) -> tuple[FunctionType | None, bool]:
        """The function that is called, and whether it is a method of the module, which gets it as ``self``."""
        function = call.func
        if isinstance(function, ast.Attribute) and scope.references.is_module(function.value):
            method = self._methods.get(function.attr)
            found = method.function if method is not None else None
            return (found if isinstance(found, FunctionType) else None), True
        caller = scope.method.function
        return (called_function(call, caller) if isinstance(caller, FunctionType) else None), False


def _found(find: Callable[[ast.expr], Kind | None], arguments: Mapping[str, ast.expr]) -> dict[str, Kind]:
    found = {name: find(value) for name, value in arguments.items()}
    return {name: each for name, each in found.items() if each is not None}


def _is_set(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
