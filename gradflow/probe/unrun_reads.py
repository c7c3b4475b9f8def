"""Where a class reads one of its parameters, on a line of which nothing was recorded."""

from __future__ import annotations

import ast
from collections.abc import Collection
from types import ModuleType

from gradflow.layers.names import module_named
from gradflow.load.module_tree import named_modules_in
from gradflow.location import SourceSpan, is_machinery
from gradflow.probe.laboratory import Laboratory
from gradflow.recording import Recording
from gradflow.source.class_source import MethodSource, class_source
from gradflow.source.scopes import find_scopes
from gradflow.torch_facts.operations.queries import tells_no_value

__all__ = ["find_unrun_read", "unrun_read"]


def unrun_read(laboratory: Laboratory, recording: Recording, name: str) -> SourceSpan | None:
    """The same for a parameter, by its qualified name, that no operation read."""
    values = recording.layer_values.get(name, ())
    if any(not set(values).isdisjoint(recording.inputs_of(row)) for row in range(len(recording))):
        return None
    owner, _, attribute = name.rpartition(".")
    model = laboratory.workload.model
    if all(owner != known for known, _ in named_modules_in(model, remove_duplicate=False)):
        return None
    return find_unrun_read(type(module_named(model, owner)), attribute, recording.executed_lines)


def find_unrun_read(owner: type, attribute: str, executed: Collection[tuple[str, int]]) -> SourceSpan | None:
    """The first place in ``forward``, or in what it calls, that would read the values of ``self.attribute``.

    Parameters
    ----------
    owner
        The class of the module that has the parameter.
    attribute
        The parameter's name there.
    executed
        (file, line) pairs on which operations were recorded.

    Returns
    -------
    SourceSpan or None
        ``None`` also where an operation was recorded on such a line: then it ran, and did not read it.
    """
    source = class_source(owner)
    if source is None:
        return None
    found: SourceSpan | None = None
    for scope in find_scopes(source.methods, (attribute,)) or ():
        for node in ast.walk(scope.method.node) if scope.is_reached else ():
            reader = _reader(node, scope.method, attribute)
            if reader is None or not isinstance(node, ast.expr) or is_machinery(scope.method.path):
                continue  # what runs in torch's own code is recorded at the line that called for it
            lines = range(reader.lineno, (reader.end_lineno or reader.lineno) + 1)
            if any((scope.method.path, line) in executed for line in lines):
                return None
            found = found or scope.method.span(node)
    return found


def _reader(node: ast.AST, method: MethodSource, attribute: str) -> ast.expr | None:
    """The expression of torch around ``self.attribute``: where it runs, an operation is recorded on its lines."""
    match node:
        case ast.Attribute(attr=name, value=ast.Name(id=owner), ctx=ast.Load()):
            if name != attribute or owner != method.self_name:
                return None
        case _:
            return None
    match parent := method.parents.get(node):
        case ast.BinOp() | ast.UnaryOp() | ast.Compare():
            return parent
        case ast.Subscript(value=value) if value is node:
            return parent
        case ast.Attribute(attr=name) if not (tells_no_value(name) or name in ("requires_grad", "grad")):
            return parent
        case ast.Call(func=function, args=arguments) if node in arguments and _is_torchs(function, method):
            return parent
    return None


def _is_torchs(function: ast.expr, method: MethodSource) -> bool:
    """Whether a call is one of a function of torch, as ``F.linear`` is."""
    root = function
    while isinstance(root, ast.Attribute):
        root = root.value
    known = getattr(method.function, "__globals__", {}).get(root.id) if isinstance(root, ast.Name) else None
    home = getattr(known, "__name__", "") if isinstance(known, ModuleType) else getattr(known, "__module__", None)
    return isinstance(home, str) and home.partition(".")[0] == "torch"
