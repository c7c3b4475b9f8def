"""A function, or a module, of which the source is known and some of the values are still there."""

from __future__ import annotations

import ast
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any

from gradflow.location import SourceSpan, is_installed
from gradflow.source.class_source import span_of_node
from gradflow.watch.post_mortem.cuts import switch_of, switches_on
from gradflow.watch.post_mortem.look import MISSING, is_module, look_up, of_attribute, unwrapped
from gradflow.watch.post_mortem.source import Definition, Listing, Position, listing_of, module_listing, parameters

__all__ = ["Scope", "scope_of_call"]


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """A listing with the values that are still there.

    ``end`` is where the frame stood. ``is_gone``: the function has returned, and ``given`` are its parameters whose
    arguments had what is looked for. ``outer`` is the frame that called this one, with the argument for each parameter.
    """

    listing: Listing
    names: Mapping[str, Any]
    end: Position
    given: frozenset[str] = frozenset()
    is_gone: bool = False
    outer: tuple[Scope, Mapping[str, ast.expr]] | None = None
    depth: int = 0

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the function's parameters; none at module level."""
        return tuple(parameters(self.listing.function)) if self.listing.function is not None else ()

    def span(self, node: ast.expr | ast.stmt, at: Position) -> SourceSpan:
        """The place of a node of the statement at a position."""
        return span_of_node(self.listing.paths[at[0]], node, self.listing.name)

    def value(self, reference: ast.expr, key: str, at: Position) -> Any:
        """What a name stood for at a place, where nothing has changed it since; else :data:`MISSING`."""
        definitions = [*self.listing.definitions(key), *self.listing.definitions(ast.unparse(reference))]
        is_kept = not definitions if self.is_gone else not any(at <= one.position < self.end for one in definitions)
        if is_kept and not isinstance(reference, ast.Name) and not self.is_gone:
            # what lies in an object may be changed by any function that runs in between
            is_kept = not any(at[:2] < position[:2] and self._is_call(node) for position, node in self._until_end(at))
        return look_up(reference, self.names) if is_kept else MISSING

    def _until_end(self, at: Position) -> list[tuple[Position, ast.stmt | ast.expr]]:
        """What stands between a place and the line at which the frame stood."""
        return [row for row in self.listing.statements if at < row[0] and row[0][:2] < self.end[:2]]

    def _is_call(self, node: ast.AST) -> bool:
        """Whether a node calls a module or a function of the program."""
        if not isinstance(node, ast.Call):
            return False
        function = look_up(node.func, self.names)
        if type(function) is MethodType:
            function = function.__func__
        if type(function) is FunctionType:
            return not is_installed(function.__code__.co_filename)
        return is_module(function)

    def has_flags_switched(self, at: Position) -> bool:
        """Whether ``requires_grad`` of anything was switched after a place."""
        return any(
            (isinstance(node, ast.Attribute) and node.attr == "requires_grad" and isinstance(node.ctx, ast.Store))
            or (isinstance(node, ast.Attribute) and node.attr == "requires_grad_")
            for _, node in self._until_end(at)
        )

    def module(self) -> Scope | None:
        """The module around a function, as it is now; ``None`` for a module itself."""
        if self.listing.function is None:
            return None
        listing = module_listing(self.listing.paths[-1])
        if listing is None:
            return None
        shared = self.names.maps[-1] if isinstance(self.names, ChainMap) else self.names
        return Scope(listing, shared, (len(listing.paths), 0, 0), is_gone=self.is_gone, depth=self.depth)

    def is_straight(self, at: Position) -> bool:
        """Whether a line of a function runs whenever the function does, and the function returns in one place only."""
        returns = sum(isinstance(node, ast.Return) for _, node in self.listing.statements)
        return returns == 1 and all(isinstance(node, _ALWAYS) for node in self.listing.around(at))

    def switched_on(self, keys: Sequence[str], at: Position) -> SourceSpan | None:
        """Where ``requires_grad`` was switched on at one of some names, after a line."""
        for position, node in self.listing.statements:
            if at < position <= self.end:
                match node:
                    case ast.Call(func=ast.Attribute(value=owner, attr="requires_grad_" | "requires_grad"), args=given):
                        is_on = not given or not (isinstance(given[0], ast.Constant) and given[0].value is False)
                    case ast.Assign(targets=[ast.Attribute(value=owner, attr="requires_grad")], value=value):
                        is_on = not (isinstance(value, ast.Constant) and value.value is False)
                    case _:
                        continue
                if is_on and ast.unparse(owner) in keys:
                    return self.span(node, position)
        return None

    def last_definitions(self, reference: ast.expr, key: str, at: Position) -> Sequence[Definition]:
        """The statements that may have set a name last, from the nearest back to the first that cannot be skipped."""
        found = self.listing.definitions(ast.unparse(reference)) or self.listing.definitions(key)
        before = [one for one in found if one.position < at]
        here = {id(node) for node in self.listing.around(at)}
        kept: list[Definition] = []
        for one in reversed(before):
            kept.append(one)
            around = self.listing.around(one.position)
            skippable = any(id(node) not in here and not isinstance(node, _ALWAYS) for node in around)
            if not (skippable or one.is_partial):
                break
        return kept

    def switched_off(self, at: Position) -> tuple[str, SourceSpan] | None:
        """What had switched recording off at a line: ``with``, a decorator, a call before it, or a caller."""
        for node in self.listing.around(at):
            for item in node.items if isinstance(node, _ALWAYS) else ():
                switch = switch_of(item.context_expr, self.names)
                if switch is not None:
                    return switch[0], self.span(switch[1], at)
                if switches_on(item.context_expr):
                    return None
        for decorator in self.listing.function.decorator_list if self.listing.function is not None else ():
            switch = switch_of(decorator, self.names)
            if switch is not None:
                return switch[0], self.span(switch[1], at)
        last = None
        for position, statement in self.listing.statements:
            match statement:
                case ast.Expr(value=ast.Call(func=function) as call) if position < at:
                    if ast.unparse(function).endswith("set_grad_enabled"):
                        switch = switch_of(call, self.names)
                        last = (switch[0], self.span(switch[1], position)) if switch is not None else None
        if last is None and self.outer is not None:
            return self.outer[0].switched_off(self.outer[0].end)
        return last


_ALWAYS = (ast.With, ast.AsyncWith)


def scope_of_call(call: ast.Call, scope: Scope) -> tuple[Scope, Mapping[str, ast.expr]] | None:
    """The function of the program's own that a call runs, seen after it has returned, and the arguments given to it."""
    function = look_up(call.func, scope.names)
    match call.func:
        case ast.Attribute(value=ast.Call(func=maker), attr=name):  # `Predictor(net).predict(image)`
            made = look_up(maker, scope.names)
            function = of_attribute(made, name) if type in type(made).__mro__ else MISSING
            named_by_class = type(function) is FunctionType
        case _:
            named_by_class = False
    owner = function if is_module(function) else None
    if owner is not None:
        function = type(owner).forward
    if type(function) is MethodType:
        owner, function = function.__self__, function.__func__
    function = unwrapped(function)
    if type(function) is not FunctionType:
        return None
    listing = listing_of(function.__code__)
    if listing is None or listing.function is None:
        return None
    named = parameters(listing.function)
    bound = {named.pop(0): owner} if owner is not None and named else {}
    if named_by_class and named:
        named.pop(0)
    inner = Scope(
        listing=listing,
        names=ChainMap(bound, function.__globals__),
        end=(0, (listing.function.end_lineno or 0) + 1, 0),
        is_gone=True,
        depth=scope.depth + 1,
    )
    return inner, arguments_of(call, named)


def arguments_of(call: ast.Call, named: list[str]) -> dict[str, ast.expr]:
    """The argument expression for each parameter."""
    given = dict(zip(named, call.args, strict=False))
    return given | {one.arg: one.value for one in call.keywords if one.arg is not None}
