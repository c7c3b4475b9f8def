"""What the source code of a class says about one of its sub-modules: where it is called, read, and assigned."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from gradflow.location import SourceSpan
from gradflow.source.class_source import ClassSource, class_source
from gradflow.source.guard import Guard, guards_of
from gradflow.source.loop_exits import LoopExit, is_in_loop, loop_exits
from gradflow.source.reference import Reference
from gradflow.source.scopes import Scope, find_scopes

__all__ = ["Usage", "UsageSite", "find_usage"]

# Reading these says how a layer is built, it does not use it.
_METADATA = frozenset(
    {"dtype", "device", "shape", "ndim", "size", "dim", "numel", "training", "in_features", "out_features"}
    | {"in_channels", "out_channels", "num_features", "num_heads", "head_dim", "embed_dim", "kernel_size", "stride"}
    | {"requires_grad", "is_leaf", "normalized_shape", "num_embeddings", "embedding_dim", "is_cuda", "__class__"}
)
_INSPECTIONS = frozenset(
    {"isinstance", "issubclass", "hasattr", "len", "type", "id", "print", "repr", "str", "callable", "enumerate", "zip"}
    | {"reversed", "list", "tuple", "iter", "range", "getattr", "setattr", "super", "bool", "set", "sorted"}
)
# These look at what they are given; the others of them hand it, or what is in it, back.
_LOOKS = frozenset({"isinstance", "issubclass", "hasattr", "len", "type", "id", "print", "repr", "str", "callable"})
_MANAGEMENT = frozenset(
    {"train", "eval", "to", "cuda", "cpu", "half", "float", "double", "parameters", "named_parameters", "buffers"}
    | {"children", "named_children", "modules", "named_modules", "items", "values", "keys", "append", "extend", "apply"}
    | {"add_module", "register_module", "register_forward_hook", "register_full_backward_hook", "requires_grad_"}
    | {"state_dict", "load_state_dict", "zero_grad", "reset_parameters", "extra_repr", "get_submodule"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSite:
    """A place in a class's code that has to do with one of its sub-modules.

    Attributes
    ----------
    span, text
        The expression, and its source on one line.
    reached
        Whether ``forward`` leads to the method it stands in.
    guards
        The conditions that decide whether it runs, outermost first, those on the way from ``forward`` included.
    choices
        Those of the conditions that decide whether the expression means the sub-module.
    executed
        Whether an operation was recorded on a line of the statement (in any instance of the class).
    part, part_span
        Where the sub-module is one element of a container: the slice or the computed index that picks elements.
    is_counted
        Whether ``part`` is what a loop counts through, as ``range(depth - 1)``, and the index is its variable.
    is_fixed
        Whether the index in ``part`` is written out, so that it picks the same element in every run.
    is_one_of
        Whether the expression stands for others as well: it holds the sub-module, or is one after the other.
    callee
        For a sub-module that is passed as an argument or read inside a call: the called function as written.
    is_argument
        Whether the sub-module itself is passed as an argument.
    exits
        What leaves the loops around it before their last round.
    is_in_loop
        Whether it runs once for each element of something.
    """

    span: SourceSpan
    text: str
    reached: bool = True
    guards: tuple[Guard, ...] = ()
    choices: tuple[Guard, ...] = ()
    executed: bool = False
    part: str = ""
    part_span: SourceSpan | None = None
    is_slice: bool = False
    is_counted: bool = False
    is_fixed: bool = False
    is_one_of: bool = False
    callee: str = ""
    is_argument: bool = False
    exits: tuple[LoopExit, ...] = ()
    is_in_loop: bool = False

    @property
    def guard(self) -> Guard | None:
        """The innermost condition."""
        return self.guards[-1] if self.guards else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """All that the code of a class says about a sub-module.

    ``calls``: the module is called, hooks and all. ``method_calls``: a method of it is called, ``.forward(x)`` above
    all. ``reads``: a parameter or setting of it is read, or it is passed on as an argument. ``assignments``: where it,
    or the container that holds it, is made. ``handed``: it, or what holds it, is read in another way, and whoever gets
    it may call it: it is returned, put into a list, kept under another name.
    ``container_calls``: the ``Sequential`` that holds it is called as a whole. ``other_calls``: the names of the other
    sub-modules that ``forward`` calls, in order of the code. ``is_machinery``: the code is torch's own.
    """

    calls: tuple[UsageSite, ...] = ()
    method_calls: tuple[UsageSite, ...] = ()
    reads: tuple[UsageSite, ...] = ()
    assignments: tuple[UsageSite, ...] = ()
    handed: tuple[UsageSite, ...] = ()
    container_calls: tuple[UsageSite, ...] = ()
    other_calls: tuple[str, ...] = ()
    is_machinery: bool = False


def find_usage(owner: type, attribute: str, *, executed: frozenset[tuple[str, int]] = frozenset()) -> Usage | None:
    """Read where the methods of a class call, read or assign a sub-module.

    Parameters
    ----------
    owner
        The class of a module above the sub-module; classes it inherits from are read too.
    attribute
        The sub-module's path from there: ``"fc"``, ``"layers.0.attn"``.
    executed
        (file, line) pairs on which operations were recorded.

    Returns
    -------
    Usage or None
        ``None`` where the source code is not available, or more than can be followed.
    """
    source = class_source(owner)
    if source is None:
        return None
    path = tuple(attribute.split("."))
    by_role: dict[str, list[UsageSite]] = {
        role: [] for role in ("call", "method", "read", "assignment", "handed", "container")
    }
    others: list[str] = []
    scopes = find_scopes(source.methods, path)
    if scopes is None:
        return None
    readers = {scope: _Reader(source, scope, path, executed) for scope in scopes}
    for scope, sites in _read(readers).items():
        for role, site in sites:
            by_role[role].append(site)
        if scope.is_reached:
            others += readers[scope].other_calls()
    return Usage(
        calls=tuple(by_role["call"]),
        method_calls=tuple(by_role["method"]),
        reads=tuple(by_role["read"]),
        assignments=tuple(by_role["assignment"]),
        handed=tuple(by_role["handed"]),
        container_calls=tuple(by_role["container"]),
        other_calls=tuple(dict.fromkeys(others)),
        is_machinery=source.is_machinery,
    )


def _read(readers: dict[Scope, _Reader]) -> dict[Scope, list[tuple[str, UsageSite]]]:
    """The sites in each scope; a call that hands the sub-module on is none where what it calls uses it."""
    found: dict[Scope, list[tuple[str, UsageSite]]] = {scope: [] for scope in readers}
    using: set[Scope] = set()
    followed: set[ast.expr] = set()
    for scope in reversed(readers):  # what is called stands behind what calls it
        found[scope] = list(readers[scope].sites(followed))
        if scope.is_helper and scope.called is not None and (found[scope] or scope in using):
            caller, call = scope.called
            using.add(caller)
            followed.add(call)
    return found


class _Reader:
    """Goes through one method, or a function that is handed what is looked for."""

    def __init__(
        self, source: ClassSource, scope: Scope, path: tuple[str, ...], executed: frozenset[tuple[str, int]]
    ) -> None:
        self._source = source
        self._scope = scope
        self._method = scope.method
        self._path = path
        self._executed = executed
        self._references = scope.references
        self._followed: Collection[ast.expr] = ()

    def sites(self, followed: Collection[ast.expr] = ()) -> Iterator[tuple[str, UsageSite]]:
        """Pairs of a role and a site, in order of the code; ``followed`` are calls whose arguments are used."""
        self._followed = followed
        nodes = [node for node in ast.walk(self._method.node) if isinstance(node, (ast.Attribute, ast.Name, ast.expr))]
        nodes.sort(key=lambda node: (node.lineno, node.col_offset))
        for node in nodes:
            reference = self._references.resolve(node)
            if reference is None or reference.depth == 0:
                continue
            parent = self._method.parents[node]
            if reference.depth == len(self._path):
                yield from self._whole(node, parent, reference)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                yield "assignment", self._site(self._statement(node), reference)
            elif isinstance(parent, ast.Call) and parent.func is node:
                yield "container", self._site(parent, reference)
            elif self._is_handed(node, parent):
                yield "handed", self._handed_site(node, reference)

    def other_calls(self) -> Iterator[str]:
        """Names of the attributes of ``self`` that are called, this sub-module's left out."""
        for node in ast.walk(self._method.node):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name() as value, attr=attribute)) if attribute != self._path[
                    0
                ] and self._references.is_module(value):
                    if not any(method.name == attribute for method in self._source.methods):
                        yield attribute

    def _whole(self, node: ast.expr, parent: ast.AST, reference: Reference) -> Iterator[tuple[str, UsageSite]]:
        """Sites of an expression that stands for the sub-module itself."""
        is_target = isinstance(getattr(node, "ctx", None), (ast.Store, ast.Del))
        if is_target and isinstance(node, ast.Attribute):
            statement = self._statement(node)
            yield "assignment", self._site(statement, reference)
            return
        if is_target:
            return
        match parent:
            case ast.Call(func=function) if function is node:
                yield "call", self._site(parent, reference)
            case _ if isinstance(reference.part, ast.Call):
                # `getattr(self, name)`: it could be anything else
                if self._is_handed(node, parent):
                    yield "handed", self._handed_site(node, reference)
            case ast.Call(args=arguments) if node in arguments:
                yield from self._argument(node, parent, reference)
            case ast.keyword():
                call = self._method.parents[parent]
                if isinstance(call, ast.Call):
                    yield from self._argument(node, call, reference)
            case ast.Attribute(attr=name):
                yield from self._member(parent, name, reference)
            case _ if self._is_handed(node, parent):
                yield "handed", self._handed_site(node, reference)

    def _is_handed(self, node: ast.expr, parent: ast.AST) -> bool:
        """Whether somebody gets what an expression stands for, who may call it."""
        if not isinstance(node, (ast.Name, ast.Attribute, ast.Subscript, ast.Call)):
            return False  # what it is made of is looked at by itself
        match parent:
            case ast.Call(func=ast.Name(id=function)) if node is not parent.func:
                return function not in _LOOKS
            case ast.IfExp(test=test) | ast.If(test=test) | ast.While(test=test):
                return node is not test
            case ast.For() | ast.AsyncFor() | ast.comprehension():
                return False  # what it goes over is looked at by itself
            case ast.Subscript(value=value):
                return value is not node
            case ast.Attribute() | ast.Compare() | ast.UnaryOp() | ast.Assert() | ast.Delete() | ast.Expr():
                return False
            case ast.Assign(targets=[ast.Name()]):
                return False  # what the name is used for is looked at by itself
            case _:
                return isinstance(getattr(node, "ctx", ast.Load()), ast.Load)

    def _argument(self, node: ast.expr, call: ast.Call, reference: Reference) -> Iterator[tuple[str, UsageSite]]:
        function = call.func
        if call in self._followed:
            return
        if isinstance(function, ast.Name) and function.id in _INSPECTIONS:
            if self._is_handed(node, call) and not self._is_iterated(call):
                yield "handed", self._handed_site(node, reference)
            return
        yield "read", self._site(node, reference, callee=self._method.text(function), is_argument=True)

    def _is_iterated(self, call: ast.Call) -> bool:
        """Whether a loop goes over what a call gives: what it does with an element is looked at by itself."""
        parent = self._method.parents[call]
        return isinstance(parent, (ast.For, ast.AsyncFor, ast.comprehension)) and parent.iter is call

    def _member(self, node: ast.Attribute, name: str, reference: Reference) -> Iterator[tuple[str, UsageSite]]:
        """``self.attr.forward(x)``, ``self.attr.weight``."""
        parent = self._method.parents[node]
        if isinstance(parent, ast.Call) and parent.func is node:
            if name == "__call__":
                yield "call", self._site(parent, reference)
            elif name not in _MANAGEMENT:
                yield "method", self._site(parent, reference)
            return
        if name in _METADATA or isinstance(node.ctx, (ast.Store, ast.Del)):
            return
        if isinstance(parent, ast.Attribute) and parent.attr in _METADATA:
            return
        yield "read", self._site(node, reference, callee=self._callee(node))

    def _handed_site(self, node: ast.expr, reference: Reference) -> UsageSite:
        """A place that hands it on, with the outermost call of the statement that gets it."""
        callee = ""
        for child, parent in self._method.ancestors(node):
            if isinstance(parent, ast.Call) and child is not parent.func:
                callee = self._method.text(parent.func)
            if isinstance(parent, ast.stmt):
                break
        return self._site(node, reference, callee=callee)

    def _callee(self, node: ast.expr) -> str:
        for child, parent in self._method.ancestors(node):
            if isinstance(parent, ast.Call) and child is not parent.func:
                return self._method.text(parent.func)
            if isinstance(parent, ast.stmt):
                return ""
        return ""

    def _statement(self, node: ast.AST) -> ast.stmt | ast.expr:
        """The smallest statement around a node; of a compound one, only its head's expression."""
        below = node
        for child, parent in self._method.ancestors(node):
            below = child
            if isinstance(parent, ast.stmt):
                is_compound = hasattr(parent, "body")
                return parent if not is_compound else child if isinstance(child, (ast.expr, ast.stmt)) else parent
        return below if isinstance(below, (ast.expr, ast.stmt)) else self._method.node

    def _site(
        self, node: ast.expr | ast.stmt, reference: Reference, callee: str = "", *, is_argument: bool = False
    ) -> UsageSite:
        method, part = self._method, reference.part
        owner = reference.part_of or method
        statement = node if isinstance(node, ast.stmt) else self._statement(node)
        lines = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
        around = self._guards_around(self._scope)
        guards = (*around, *self._guards_at(self._scope, node))
        choices = tuple(dict.fromkeys(guard for guard in self._choices(reference) if guard not in guards))
        executed = any((method.path, line) in self._executed for line in lines)
        if self._scope.is_helper:  # its lines may have run for another call
            executed = executed and all(guard.evidence == "entered" for guard in around)
        return UsageSite(
            span=method.span(node),
            text=method.text(node),
            reached=self._scope.is_reached,
            guards=(*guards, *choices),
            choices=choices,
            executed=executed,
            part=owner.text(part) if part is not None else "",
            part_span=owner.span(part) if part is not None else None,
            is_slice=isinstance(part, ast.Subscript) and isinstance(part.slice, ast.Slice),
            is_counted=reference.is_counted,
            is_fixed=reference.is_fixed,
            is_one_of=reference.iterates or reference.depth < len(self._path) or part is not None,
            callee=callee,
            is_argument=is_argument,
            exits=loop_exits(method, node, self._executed, self._references.is_known_to_exist),
            is_in_loop=is_in_loop(method, node),
        )

    def _choices(self, reference: Reference) -> Iterator[Guard]:
        """The conditions around the places that gave a name its meaning."""
        for references, node in reference.chosen:
            yield from guards_of(references.method, node, self._executed, references.is_known_to_exist)

    def _guards_at(self, scope: Scope, node: ast.AST) -> tuple[Guard, ...]:
        return guards_of(scope.method, node, self._executed, scope.references.is_known_to_exist)

    def _guards_around(self, scope: Scope) -> tuple[Guard, ...]:
        """The conditions around the calls that lead from ``forward`` to a scope, outermost first."""
        if scope.called is None:
            return ()
        caller, call = scope.called
        return (*self._guards_around(caller), *self._guards_at(caller, call))
