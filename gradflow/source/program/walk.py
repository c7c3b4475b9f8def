"""Goes through the statements of a program as they would run, with the calls in them."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Mapping, Sequence

from gradflow.location import SourceSpan
from gradflow.source.program.expressions import Evaluator, TooLongError
from gradflow.source.program.files import ProgramFiles
from gradflow.source.program.joined import joined_to
from gradflow.source.program.things import Function, Labels, Scope, Thing, as_one, made_of

__all__ = ["labels_that_reach", "product_in_program"]

_DEPTH = 12
_Marks = tuple[tuple[SourceSpan, int], ...]


def product_in_program(files: Sequence[str], first: SourceSpan, second: SourceSpan) -> SourceSpan | None:
    """Where the value read at one place is multiplied with the value read at another, wherever both have gone.

    A name that is assigned something else is forgotten, and what was made of both values is neither of them.

    Returns
    -------
    SourceSpan or None
        The product; ``None`` where the source shows none, or cannot be read.
    """
    walk = _walk_of(files, ((first, 0), (second, 1)), frozenset())
    return (walk.products.get((0, 1)) or walk.products.get((1, 0))) if walk is not None else None


def labels_that_reach(
    files: Sequence[str], places: Sequence[SourceSpan], goals: Iterable[SourceSpan]
) -> Mapping[SourceSpan, Labels]:
    """For each goal the numbers of those places from which a value goes into what is computed there."""
    marks = tuple((place, number) for number, place in enumerate(places))
    walk = _walk_of(files, marks, frozenset(goals))
    return walk.reached if walk is not None else {}


def _walk_of(files: Sequence[str], marks: _Marks, goals: frozenset[SourceSpan]) -> _Walk | None:
    """All that is joined to the places by imports, or where that is too much, the files of the places alone."""
    places = {*(place.path for place, _ in marks), *(goal.path for goal in goals)}
    near = tuple(path for path in files if path in places)
    chosen = next((each for each in (joined_to(files, places), near) if _walked(each, (), frozenset()) is not None), ())
    return _walked(chosen, marks, goals)


@functools.lru_cache(maxsize=64)
def _walked(files: tuple[str, ...], marks: _Marks, goals: frozenset[SourceSpan]) -> _Walk | None:
    """``None`` where it is too much to follow, whatever is looked for."""
    walk = _Walk(ProgramFiles(files), dict(marks), goals)
    try:
        walk.go()
    except (TooLongError, RecursionError):
        return None
    return walk


class _Walk(Evaluator):
    """The program from its modules on; functions that nothing is seen to call come last, each by itself."""

    def __init__(self, files: ProgramFiles, marks: Mapping[SourceSpan, int], goals: frozenset[SourceSpan]) -> None:
        super().__init__(marks, goals)
        self._files = files
        self._modules: dict[str, Scope] = {}
        self._defined: dict[Function, Thing] = {}
        self._entered: set[Function] = set()
        self._stack: list[Function] = []

    def go(self) -> None:
        """Walk all of it."""
        for path in self._files.paths:
            self._module(path)
        for function, thing in list(self._defined.items()):
            if function not in self._entered:
                self.call(thing, [], {})

    def define(self, function: Function, scope: Scope) -> Thing:
        """A function of the program, which sees the names around it."""
        given = [*function.args.defaults, *(each for each in function.args.kw_defaults if each is not None)]
        for default in given:
            self.value(default, scope)
        thing = self._defined[function] = Thing(function=function, scope=scope)
        return thing

    def call(self, function: Thing, positional: list[Thing], named: dict[str, Thing]) -> Thing | None:
        """Enter a function of the program, construct an object of a class of its, or call such an object."""
        if function.is_class:
            made = Thing(kind=function)
            start = function.of_class("__init__")
            if start is not None:
                self.call(self.attribute(made, "__init__"), positional, named)
            elif positional or named:
                made.labels = as_one([*positional, *named.values()]).every_label()
            return made
        if function.kind is not None and function.function is None:
            # torch's modules call their `forward`
            for name in ("__call__", "forward"):
                if function.kind.of_class(name) is not None:
                    return self.call(self.attribute(function, name), positional, named)
            return None
        node, outer = function.function, function.scope
        if node is None or outer is None or len(self._stack) >= _DEPTH or self._stack.count(node) > 1:
            return None
        self._entered.add(node)
        self._stack.append(node)
        scope = Scope(path=outer.path, outer=outer)
        self._bind_arguments(node, scope, [*([function.receiver] if function.receiver else []), *positional], named)
        try:
            if isinstance(node, ast.Lambda):
                return self.value(node.body, scope)
            self._run(node.body, scope)
        finally:
            self._stack.pop()
        return as_one(scope.returned) if scope.returned else Thing()

    def _bind_arguments(self, node: Function, scope: Scope, given: list[Thing], named: dict[str, Thing]) -> None:
        wanted = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
        for name in (*wanted, *(each.arg for each in node.args.kwonlyargs)):
            scope.names[name] = named.get(name) or Thing()
        for name, thing in zip(wanted, given, strict=False):
            scope.names[name] = thing
        if node.args.vararg is not None:
            rest = given[len(wanted) :]
            scope.names[node.args.vararg.arg] = Thing(parts={f"[{n}]": each for n, each in enumerate(rest)})
        if node.args.kwarg is not None:
            rest_named = {f"[{name!r}]": each for name, each in named.items() if name not in scope.names}
            scope.names[node.args.kwarg.arg] = Thing(parts=rest_named)

    def _module(self, path: str) -> Scope:
        """The names of a file, whose statements run when it is first imported."""
        if path not in self._modules:
            self._modules[path] = Scope(path=path)
            self._run(self._files.tree(path).body, self._modules[path])
        return self._modules[path]

    def _run(self, statements: Sequence[ast.stmt], scope: Scope) -> None:
        for statement in statements:
            self._statement(statement, scope)

    def _statement(self, statement: ast.stmt, scope: Scope) -> None:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                scope.bind(name, self.define(statement, scope))
            case ast.ClassDef(name=name):
                scope.bind(name, self._class(statement, scope))
            case ast.Assign(targets=targets, value=value):
                thing = self.value(value, scope)
                for target in targets:
                    self.assign(target, thing, scope)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self.assign(target, self.value(value, scope), scope)
            case ast.AugAssign(target=target, value=value):
                sides = [self.value(target, scope), self.value(value, scope)]
                if isinstance(statement.op, ast.Mult | ast.MatMult):
                    self.note_product(statement, scope, sides)
                self.assign(target, made_of(sides), scope)
            case ast.Return(value=ast.expr() as value):
                scope.returned.append(self.value(value, scope))
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                scope.declare(names, is_global=isinstance(statement, ast.Global))
            case ast.Import() | ast.ImportFrom():
                self._import(statement, scope)
            case _:
                self._compound(statement, scope)

    def _compound(self, statement: ast.stmt, scope: Scope) -> None:
        """A statement with others in it; of any other, its expressions."""
        match statement:
            case ast.If(test=test, body=body, orelse=other):
                self.value(test, scope)
                self._either((body, other), scope)
            case ast.For() | ast.AsyncFor():
                self.assign(statement.target, self.element(self.value(statement.iter, scope)), scope)
                self._loop(statement.body, statement.orelse, scope)
            case ast.While(test=test, body=body, orelse=after):
                self.value(test, scope)
                self._loop(body, after, scope)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                for item in items:
                    entered = self.value(item.context_expr, scope)
                    if item.optional_vars is not None:
                        self.assign(item.optional_vars, entered, scope)
                self._run(body, scope)
            case ast.Match(subject=subject, cases=cases):
                self.value(subject, scope)
                self._either(([], *(each.body for each in cases)), scope)
            case ast.Try(body=body, handlers=handlers, orelse=other, finalbody=last):
                self._run(body, scope)
                self._either(([], *(each.body for each in handlers)), scope)
                self._run([*other, *last], scope)
            case _:
                for each in ast.iter_child_nodes(statement):
                    if isinstance(each, ast.expr):
                        self.value(each, scope)

    def _loop(self, body: Sequence[ast.stmt], after: Sequence[ast.stmt], scope: Scope) -> None:
        """Twice: what one round leaves behind may be used by the next."""
        self._either((body, []), scope)
        self._either((body, []), scope)
        self._run(after, scope)

    def _either(self, bodies: Sequence[Sequence[ast.stmt]], scope: Scope) -> None:
        """One of several; afterwards a name may hold what either has left."""
        before, after = dict(scope.names), []
        for body in bodies:
            scope.names = dict(before)
            self._run(body, scope)
            after.append(scope.names)
        names = dict.fromkeys(name for each in after for name in each)
        scope.names = {name: as_one(each[name] for each in after if name in each) for name in names}

    def _class(self, node: ast.ClassDef, scope: Scope) -> Thing:
        body = Scope(path=scope.path, outer=scope, is_class=True)
        bases = tuple(self.value(each, scope) for each in node.bases)
        self._run(node.body, body)
        return Thing(parts={f".{name}": each for name, each in body.names.items()}, is_class=True, bases=bases)

    def _import(self, statement: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        for each in statement.names:
            if isinstance(statement, ast.Import):
                path = self._files.imported(each.name, 0, scope.path)
                if path is not None:
                    scope.bind(each.asname or each.name.partition(".")[0], self._as_thing(path))
                continue
            level = statement.level
            inner = self._files.imported(f"{statement.module or ''}.{each.name}", level, scope.path)
            path = self._files.imported(statement.module or "", level, scope.path)
            if path is not None:
                names = self._module(path).names
                for name in names if each.name == "*" else [each.name] * (each.name in names):
                    scope.bind((each.asname or each.name) if each.name != "*" else name, names[name])
            if inner is not None:
                scope.bind(each.asname or each.name, self._as_thing(inner))

    def _as_thing(self, path: str) -> Thing:
        return Thing(parts={f".{name}": each for name, each in self._module(path).names.items()})
