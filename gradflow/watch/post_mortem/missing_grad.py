"""The program went on with a ``.grad`` that is ``None``."""

from __future__ import annotations

import ast
from typing import Any

import torch

from gradflow.location import SourceSpan
from gradflow.record.operations.tensor_facts import is_leaf
from gradflow.watch.finding import Finding, finding
from gradflow.watch.post_mortem.aftermath import Aftermath
from gradflow.watch.post_mortem.autograd_facts import carries_history, contains, describe
from gradflow.watch.post_mortem.look import MISSING, is_tensor, look_up
from gradflow.watch.post_mortem.loss_findings import MORE, loss_findings
from gradflow.watch.post_mortem.outside_graph import not_reached
from gradflow.watch.post_mortem.scope import Scope
from gradflow.watch.post_mortem.source import Position, text_of
from gradflow.watch.post_mortem.trail import Trail

__all__ = ["grad_is_none"]


def grad_is_none(after: Aftermath) -> tuple[Finding, ...]:
    """An exception about ``None`` in a line that reads ``tensor.grad``, where that is ``None``."""
    if after.expression is None or after.scope is None:
        return ()
    for owner in _owners(after.expression, after.scope):
        tensor = look_up(owner, after.scope.names)
        if is_tensor(tensor) and _grad_is_none(tensor):
            return _why(after, owner, tensor)
    return ()


def _owners(expression: ast.expr, scope: Scope) -> list[ast.expr]:
    """Whose ``.grad`` an expression reads, itself or by a name that was set to it."""
    found = []
    for node in ast.walk(expression):
        match node:
            case ast.Attribute(value=owner, attr="grad"):
                found.append(owner)
            case ast.Name(id=name) if look_up(node, scope.names) is None:
                for definition in scope.last_definitions(node, name, scope.end)[:1]:
                    match definition.value:
                        case ast.Attribute(value=owner, attr="grad"):
                            found.append(owner)
    return found


def _grad_is_none(tensor: torch.Tensor) -> bool:
    # torch warns when `.grad` of a computed tensor is read that keeps none
    return tensor.grad is None if is_leaf(tensor) or tensor.retains_grad else True


def _why(after: Aftermath, owner: ast.expr, tensor: torch.Tensor) -> tuple[Finding, ...]:
    name = text_of(owner)
    facts = (f"`{name}` is {describe(tensor)}",)
    if not tensor.requires_grad:
        return _plain(after, owner, tensor, name, facts)
    backward = _backward_before(after.scope) if after.scope is not None else None
    root_node = backward[0] if backward is not None else None
    root: Any = look_up(root_node, after.scope.names) if root_node is not None and after.scope is not None else MISSING
    is_reached = contains(root, tensor) if is_tensor(root) else None
    if is_reached is False:
        return not_reached(after, root, root_node, tensor, owner)
    if not is_leaf(tensor) and not tensor.retains_grad:
        return (_non_leaf(after, owner, name, facts),)
    return (_unknown(after, name, facts, root_node, is_reached),)


def _plain(
    after: Aftermath, owner: ast.expr, tensor: torch.Tensor, name: str, facts: tuple[str, ...]
) -> tuple[Finding, ...]:
    trail = Trail(carries_history)
    is_parameter = isinstance(tensor, torch.nn.Parameter)
    if after.scope is not None and not is_parameter:
        trail.search(owner, after.scope, tensor)
    message = f"`{name}.grad` is `None`: `{name}` has no history"
    found = loss_findings(trail.losses, message, after.span, target=name, facts=facts)
    if found:
        return found
    return (
        finding(
            "not-trainable",
            "broken",
            f"`{name}.grad` is `None`: `{name}.requires_grad` is `False`",
            after.span,
            label="`None` is read here",
            notes=("autograd leaves out what does not require grad", *facts),
            helps=(f"switch it on before the forward: `{name}.requires_grad_(True)`",),
            target=name,
            is_parameter=is_parameter,
            rank=0,
        ),
    )


def _non_leaf(after: Aftermath, owner: ast.expr, name: str, facts: tuple[str, ...]) -> Finding:
    made = None
    if after.scope is not None:
        defined = after.scope.last_definitions(owner, name, after.scope.end)
        made = defined[0].span() if defined else None
    return finding(
        "non-leaf-grad",
        "connected",
        f"`{name}.grad` is `None`: `{name}` is computed and not a leaf, and autograd fills `.grad` for leaves only",
        after.span,
        label="a computed tensor keeps no gradient",
        annotations=((made, "computed here"),),
        notes=("a gradient may well pass through it; it is not stored, to save memory", *facts),
        helps=(
            f"call `{name}.retain_grad()` before backward",
            "if it was to be a leaf, set `requires_grad` after the last step that makes it (`.to(device)`)",
        ),
        target=name,
        rank=0,
    )


def _unknown(
    after: Aftermath, name: str, facts: tuple[str, ...], root: ast.expr | None, is_reached: bool | None
) -> Finding:
    cleared = _cleared(after.scope) if after.scope is not None and is_reached else None
    if root is None:
        later = after.scope is not None and _is_backward_below(after.scope)
        why = "no backward before this line is in the source of this function"
        why += "; there is one below it, which is too late for this line" if later else ""
    elif cleared is not None:
        why = f"autograd's graph of `{text_of(root)}` leads to it: it was filled, and cleared before this line"
    elif is_reached:
        why = f"autograd's graph of `{text_of(root)}` does lead to it, so backward did not run, or it was cleared since"
    else:
        why = f"the graph of `{text_of(root)}` is gone or too large, so it is not determined whether it leads there"
    return finding(
        "backward-raised",
        "error",
        f"`{name}.grad` is `None`: no backward has filled it since it was last cleared",
        cleared or after.span,
        label="cleared here" if cleared is not None else "`None` is read here",
        annotations=((after.span, "`None` is read here"),),
        notes=(why, *facts),
        helps=("read it before it is cleared",) if cleared is not None else MORE,
        target=name,
        rank=0,
    )


def _cleared(scope: Scope) -> SourceSpan | None:
    """The ``zero_grad`` between the last backward above the line and the line."""
    backward = _backward_before(scope)
    for position, node in scope.listing.statements:
        match node:
            case ast.Call(func=ast.Attribute(attr="zero_grad")) if backward and backward[1] < position < scope.end:
                return scope.span(node, position)
    return None


def _is_backward_below(scope: Scope) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr == "backward" and position > scope.end
        for position, node in scope.listing.statements
    )


def _backward_before(scope: Scope) -> tuple[ast.expr, Position] | None:
    """The score of the last ``backward`` above the line."""
    found = None
    for position, node in scope.listing.statements:
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr="backward"), args=given) if position < scope.end:
                is_function = text_of(owner).endswith("autograd")
                found = ((given[0] if given else owner) if is_function else owner), position
    return found
