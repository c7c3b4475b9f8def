"""What a hook, or another function of the same file, put into a container that outlives it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from gradflow.source.class_source import parse_file, span_of_node
from gradflow.watch.post_mortem.aftermath import Aftermath
from gradflow.watch.post_mortem.cuts import cut_between
from gradflow.watch.post_mortem.references import key_of, references_in, way_up
from gradflow.watch.post_mortem.source import (
    Definition,
    Function,
    Listing,
    as_function,
    parameters,
    parents_in,
    text_of,
)
from gradflow.watch.post_mortem.trail import Loss

__all__ = ["stored_losses"]

_HOOK_PARAMETERS = 3
"""A forward hook is called with the module, its inputs and its output."""


def stored_losses(after: Aftermath, node: ast.expr | None, tensor: Any) -> list[Loss]:
    """Where a function of the file put a copy without history into what the expression reads from."""
    if node is None or after.scope is None or tensor is None:
        return []
    found: list[Loss] = []
    stores = 0
    for key in {key_of(reference) for reference in references_in(node, after.scope.names)}:
        for function, definition in _stores(after.scope.listing, key):
            stores += 1
            loss = _cut_in(function, definition, key)
            if loss is not None:
                found.append(loss)
    return [
        Loss(
            span=loss.span,
            result=loss.result,
            cause=loss.cause,
            operation=loss.operation,
            source=loss.source,
            is_proven=stores == 1,
        )
        for loss in found
    ]


def _stores(listing: Listing, key: str) -> Iterator[tuple[Function, Definition]]:
    """Assignments to a variable of the frame, or into it, in the functions of the file that see it."""
    path = listing.paths[-1]
    tree = parse_file(path)
    home = listing.function if _is_local(listing, key) else tree
    if home is None:
        return
    for function, around in _functions(home, ()):
        inner = Listing([(path, function.body)], function, function.name)
        hiding = [one for one in (*around, function) if key.partition(".")[0] in parameters(one)]
        if function is listing.function or (hiding and not key.startswith("self.")):
            continue
        if any(_is_local(Listing([(path, one.body)], one, one.name), key) for one in around):
            continue
        for definition in inner.definitions(key):
            if definition.is_partial or key.startswith("self.") or not _is_local(inner, key):
                yield function, definition


def _is_local(listing: Listing, key: str) -> bool:
    """Whether a function makes a variable of its own by that name."""
    if listing.function is None:
        return False
    declared = {
        name for _, node in listing.statements if isinstance(node, (ast.Global, ast.Nonlocal)) for name in node.names
    }
    is_set = any(not definition.is_partial for definition in listing.definitions(key))
    return key not in declared and (is_set or key in parameters(listing.function))


def _functions(node: ast.AST, around: tuple[Function, ...]) -> Iterator[tuple[Function, tuple[Function, ...]]]:
    """The functions below a node, each with those that stand around it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Lambda):
            yield as_function(child), around
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield child, around
            yield from _functions(child, (*around, child))
        else:
            yield from _functions(child, around)


def _cut_in(function: Function, definition: Definition, key: str) -> Loss | None:
    """The cut between a parameter of the function and what it stores."""
    if definition.value is None:
        return None
    parents = parents_in(definition.value)
    for reference in references_in(definition.value, {}):
        if key_of(reference) not in parameters(function):
            continue
        cut = cut_between(way_up(reference, parents), {})
        if cut is not None:
            is_hook = len(parameters(function)) == _HOOK_PARAMETERS and cut.cause == "detach"
            return Loss(
                span=span_of_node(definition.path, cut.node, function.name),
                result=key,
                cause="hook-detach" if is_hook else cut.cause,
                operation=cut.operation,
                source=text_of(reference),
            )
    return None
