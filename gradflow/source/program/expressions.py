"""Computes what an expression of a program is made of."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Mapping

from gradflow.location import SourceSpan
from gradflow.source.class_source import span_of_node
from gradflow.source.program.things import Labels, Scope, Thing, as_one, made_of
from gradflow.torch_facts.operations.queries import has, tells_no_value

__all__ = ["Evaluator", "TooLongError"]

_FILLING = frozenset({"append", "extend", "insert", "add", "appendleft", "update", "setdefault", "put"})
_STEPS = 100_000


class TooLongError(Exception):
    """The program is too large to be followed: nothing is known."""


class Evaluator(ABC):
    """Expressions; what a call of the program's own functions gives is left to the subclass.

    Attributes
    ----------
    products
        Where something made of one label alone is multiplied with something made of another, with the two labels.
    reached
        For each place that was looked at, the labels that came there.
    """

    def __init__(self, marks: Mapping[SourceSpan, int], goals: frozenset[SourceSpan]) -> None:
        self._marks = {_key(span): label for span, label in marks.items()}
        self._goals = {_key(goal): goal for goal in goals}
        self._lines = {(key[0], key[3]) for key in (*self._marks, *self._goals)}
        self._steps = 0
        self.products: dict[tuple[int, int], SourceSpan] = {}
        self.reached: dict[SourceSpan, Labels] = {}

    @abstractmethod
    def call(self, function: Thing, positional: list[Thing], named: dict[str, Thing]) -> Thing | None:
        """What a call returns; ``None`` where the program does not define what is called."""

    @abstractmethod
    def define(self, function: ast.Lambda, scope: Scope) -> Thing:
        """A function of the program."""

    def value(self, node: ast.expr, scope: Scope) -> Thing:
        """What an expression gives, with the label of its place where it has one."""
        self._steps += 1
        if self._steps > _STEPS:
            raise TooLongError
        thing = self._plain_value(node, scope)
        if (scope.path, node.end_lineno) not in self._lines:
            return thing
        key = _key(span_of_node(scope.path, node))
        label = self._marks.get(key)
        # with no goal, products are looked for: a helper through which both go leaves a value that has a label alone
        if label is not None and (self._goals or not thing.every_label()):
            thing = Thing(thing.every_label() | {label})
        if key in self._goals:
            span = self._goals[key]
            self.reached[span] = self.reached.get(span, frozenset()) | thing.every_label()
        return thing

    def _plain_value(self, node: ast.expr, scope: Scope) -> Thing:
        match node:
            case ast.Name(id=name):
                return scope.look_up(name) or Thing()
            case ast.Attribute(value=holder, attr=name):
                return self.attribute(self.value(holder, scope), name)
            case ast.Call():
                return self._called(node, scope)
            case ast.BinOp(left=left, op=operator, right=right):
                sides = [self.value(left, scope), self.value(right, scope)]
                if isinstance(operator, ast.Mult | ast.MatMult):
                    self.note_product(node, scope, sides)
                return made_of(sides)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                return self._display(elements, scope)
            case ast.Dict():
                return self._dictionary(node, scope)
            case ast.Subscript(value=holder, slice=index):
                return self._item(self.value(holder, scope), index, scope)
            case ast.Lambda():
                return self.define(node, scope)
            case _:
                return self._rarer_value(node, scope)

    def _rarer_value(self, node: ast.expr, scope: Scope) -> Thing:
        match node:
            case ast.NamedExpr(target=ast.Name(id=name), value=value):
                thing = self.value(value, scope)
                scope.bind(name, thing)
                return thing
            case ast.IfExp(test=test, body=one, orelse=other):
                self.value(test, scope)
                return as_one((self.value(one, scope), self.value(other, scope)))
            case ast.ListComp(elt=element) | ast.SetComp(elt=element) | ast.GeneratorExp(elt=element):
                return made_of([self.value(element, self._looped(node.generators, scope))])
            case ast.DictComp(value=element):
                return made_of([self.value(element, self._looped(node.generators, scope))])
            case ast.Compare(left=left, comparators=others):
                for each in (left, *others):
                    self.value(each, scope)
                return Thing()
            case ast.Yield(value=given) | ast.YieldFrom(value=given):
                if given is not None:
                    scope.returned.append(self.value(given, scope))
                return Thing()
            case ast.Starred(value=inner) | ast.Await(value=inner):
                return self.value(inner, scope)
        return made_of([self.value(each, scope) for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr)])

    def attribute(self, holder: Thing, name: str) -> Thing:
        """An attribute: of the object itself, of its class, else something computed from the object's own value."""
        found = holder.parts.get(f".{name}")
        if found is not None:
            return found
        found = (holder.of_class if holder.is_class else (holder.kind or holder).of_class)(name)
        if found is None:
            return Thing() if tells_no_value(name) else Thing(holder.labels)
        if found.function is None or holder.is_class or holder.kind is None:
            return found
        decorators = {each.id for each in getattr(found.function, "decorator_list", ()) if isinstance(each, ast.Name)}
        if "staticmethod" in decorators:
            return found
        receiver = holder.kind if "classmethod" in decorators else holder
        bound = Thing(function=found.function, scope=found.scope, receiver=receiver)
        return (self.call(bound, [], {}) or Thing()) if "property" in decorators else bound

    def note_product(self, node: ast.expr | ast.stmt, scope: Scope, sides: list[Thing]) -> None:
        """Look whether two labels meet that were apart until now."""
        alone = {next(iter(labels)) for side in sides if len(labels := side.every_label()) == 1}
        for one in alone:
            for other in alone - {one}:
                self.products.setdefault((one, other), span_of_node(scope.path, node))

    def put(self, holder: Thing, key: ast.expr | None, value: Thing) -> None:
        """``holder[key] = value``."""
        if isinstance(key, ast.Constant):
            holder.parts[f"[{key.value!r}]"] = value
        else:
            holder.labels |= value.every_label()

    def element(self, thing: Thing) -> Thing:
        """What a loop over something is given."""
        elements = thing.elements()
        return as_one(elements) if elements is not None else made_of([thing])

    def assign(self, target: ast.expr, value: Thing, scope: Scope) -> None:
        """``target = value``."""
        match target:
            case ast.Name(id=name):
                scope.bind(name, value)
            case ast.Attribute(value=holder, attr=name):
                self.value(holder, scope).parts[f".{name}"] = value
            case ast.Subscript(value=holder, slice=index):
                self.put(self.value(holder, scope), index, value)
            case ast.Starred(value=inner):
                self.assign(inner, value, scope)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                given = value.elements()
                is_known = given is not None and len(given) == len(parts)
                for number, part in enumerate(parts):
                    self.assign(part, given[number] if given is not None and is_known else self.element(value), scope)

    def _display(self, elements: list[ast.expr], scope: Scope) -> Thing:
        values = [self.value(each, scope) for each in elements]
        if any(isinstance(each, ast.Starred) for each in elements):
            return made_of(values)
        return Thing(parts={f"[{number}]": each for number, each in enumerate(values)})

    def _dictionary(self, node: ast.Dict, scope: Scope) -> Thing:
        made = Thing()
        for key, value in zip(node.keys, node.values, strict=True):
            self.put(made, key, self.value(value, scope))
        return made

    def _item(self, holder: Thing, index: ast.expr, scope: Scope) -> Thing:
        given = self.value(index, scope)
        if isinstance(index, ast.Constant) and f"[{index.value!r}]" in holder.parts:
            return holder.parts[f"[{index.value!r}]"]
        return made_of([holder, given])

    def _looped(self, generators: list[ast.comprehension], scope: Scope) -> Scope:
        inner = Scope(path=scope.path, outer=scope)
        for each in generators:
            self.assign(each.target, self.element(self.value(each.iter, inner)), inner)
            for test in each.ifs:
                self.value(test, inner)
        return inner

    def _called(self, node: ast.Call, scope: Scope) -> Thing:
        holder = self.value(node.func.value, scope) if isinstance(node.func, ast.Attribute) else Thing()
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        function = self.attribute(holder, name) if name else self.value(node.func, scope)
        positional = [self.value(each, scope) for each in node.args]
        named = {each.arg or "**": self.value(each.value, scope) for each in node.keywords}
        if not any(isinstance(each, ast.Starred) for each in node.args):
            result = self.call(function, positional, named)
            if result is not None:
                return result
        given = [*positional, *named.values()]
        for each in given:
            if each.function is not None:  # a hook, a callback: called by others, with what nobody knows
                self.call(each, [], {})
        match node.func:
            case ast.Name(id="len" | "isinstance" | "hasattr" | "print"):
                return Thing()
            case ast.Name(id="zip"):
                return Thing(parts={"[0]": Thing(parts={f"[{n}]": self.element(e) for n, e in enumerate(given)})})
            case ast.Name(id="enumerate") if positional:
                pair = {"[0]": Thing(), "[1]": self.element(positional[0])}
                return Thing(parts={"[0]": Thing(parts=pair)})
            case ast.Attribute(attr=name):
                if name in _FILLING:
                    holder.labels |= made_of(given).labels
                if _is_product(name):
                    self.note_product(node, scope, [holder, *given])
            case ast.Name(id=name) if _is_product(name):
                self.note_product(node, scope, given)
        return made_of([function, *given])


def _key(span: SourceSpan) -> tuple[str, int, int | None, int | None, int | None]:
    return span.path, span.line, span.column, span.end_line, span.end_column


def _is_product(name: str) -> bool:
    """Whether torch or NumPy multiply by a function of this name."""
    return has(name, "product", "matrix-product") or name == "average"
