"""Which line froze a module, and whether an optimizer of the program is to train it."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch

from gradflow.location import SourceSpan
from gradflow.source.class_source import parse_file, span_of_node
from gradflow.watch.post_mortem.autograd_facts import parameters_of
from gradflow.watch.post_mortem.scope import Scope

__all__ = ["freezing_line", "is_to_learn"]


def freezing_line(scope: Scope, names: Collection[str]) -> SourceSpan | None:
    """The line that switches ``requires_grad`` off: the one in this function, else the one in the file by that name."""
    here = [scope.span(node, position) for position, node in scope.listing.statements if _frozen_by(node) is not None]
    if here:
        return here[0] if len(here) == 1 else None
    path = scope.listing.paths[-1]
    tree = parse_file(path)
    nodes = [node for node in ast.walk(tree) if isinstance(node, (ast.stmt, ast.expr))] if tree is not None else []
    named = [node for node in nodes if _root_of(_frozen_by(node)) in names]
    return span_of_node(path, named[0]) if len(named) == 1 else None


def _frozen_by(node: ast.AST) -> ast.expr | None:
    """What a statement or call freezes."""
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr="requires_grad_"), args=[ast.Constant(value=False)]):
            return owner
        case ast.Assign(targets=[ast.Attribute(value=owner, attr="requires_grad")], value=ast.Constant(value=False)):
            return owner
    return None


def _root_of(node: ast.expr | None) -> str:
    return ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else ""


def is_to_learn(module: Any, names: Mapping[str, Any]) -> bool:
    """Whether an optimizer that the frame knows holds a parameter of the module."""
    wanted = {id(parameter) for parameter in parameters_of(module)}
    return any(id(parameter) in wanted for parameter in _optimized(names))


def _optimized(names: Mapping[str, Any]) -> Iterator[Any]:
    for value in list(names.values()):
        if torch.optim.Optimizer in type(value).__mro__:
            groups = object.__getattribute__(value, "__dict__").get("param_groups", [])
            for group in groups:
                yield from group.get("params", ())
