"""Backward needs a graph that an earlier backward has freed: which one, and what brought the graph along."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from gradflow.location import SourceSpan
from gradflow.record.backward.walk import Node
from gradflow.watch.finding import Finding, finding
from gradflow.watch.post_mortem.aftermath import Aftermath
from gradflow.watch.post_mortem.autograd_facts import carries_history, grad_fn_of, is_freed, nodes_behind
from gradflow.watch.post_mortem.look import is_tensor, look_up
from gradflow.watch.post_mortem.scope import Scope
from gradflow.watch.post_mortem.source import Position, text_of

__all__ = ["graph_is_freed"]


def graph_is_freed(after: Aftermath) -> tuple[Finding, ...]:
    """``backward`` refused: "Trying to backward through the graph a second time"."""
    freed = {node for root in after.roots for node in nodes_behind(root) or () if is_freed(node)}
    earlier = _earlier(after.scope, freed) if after.scope is not None else None
    place, is_same_line = earlier if earlier is not None else (None, False)
    carried = _carried(after) if is_same_line else None
    through = _both_go_through(after, place) if place is not None and not is_same_line else None
    name, made = carried if carried is not None else ("", None)
    when = " in an earlier turn of the loop" if is_same_line else ""
    if carried is not None:
        source: tuple[str, ...] = (
            f"only `{name}` is carried from turn to turn with its history here, and brings the old graph along",
        )
        helps: tuple[str, ...] = (
            f"carry the values without their history: `{name} = {name}.detach()`",
            "or, if gradients are to flow through all turns, add the losses up and call backward once",
        )
    else:
        source = (f"both go through `{through[0]}`, which was made before",) if through is not None else ()
        helps = (
            "if the same forward is differentiated several times, pass `retain_graph=True` to all but the last",
            "if a value is carried from step to step, carry `value.detach()`",
        )
    return (
        finding(
            "graph-freed",
            "error",
            "the graph is gone: an earlier backward has freed what this one needs",
            place or after.span,
            label=f"frees the graph{when}" if place is not None else "needs the graph again",
            annotations=(
                (made, f"`{name}` is set with its history"),
                (through[1] if through is not None else None, "made once, for both"),
                (after.span, "needs it again here"),
            ),
            notes=(
                "backward frees the intermediate values as it goes, unless told otherwise",
                *source,
                *(() if place is not None else ("which backward freed them is not determined",)),
            ),
            helps=helps,
            score=after.score,
            rank=0,
        ),
    )


def _carried(after: Aftermath) -> tuple[str, SourceSpan] | None:
    """The one variable that a loop carries from turn to turn with its history, and that the score comes from."""
    if after.scope is None:
        return None
    nodes = {node for root in after.roots for node in nodes_behind(root) or ()}
    found = [(text, span) for text, span, value in _loop_carried(after.scope) if grad_fn_of(value) in nodes]
    return found[0] if len(found) == 1 else None


def _both_go_through(after: Aftermath, earlier: SourceSpan) -> tuple[str, SourceSpan] | None:
    """The variable, set before the earlier backward, that the score was computed from: the one nearest to the score."""
    if after.scope is None or after.scope.listing.paths[-1] != earlier.path:
        return None
    nodes = {node for root in after.roots for node in nodes_behind(root) or ()}
    found: list[tuple[int, str, SourceSpan]] = []
    for text, _, value in _tensors(after.scope):
        if grad_fn_of(value) not in nodes or any(value is root for root in after.roots):
            continue
        before = [one for one in after.scope.listing.definitions(text) if one.position < after.scope.end]
        if before and before[-1].position[1] <= earlier.line:
            found.append((len(nodes_behind(value) or ()), text, before[-1].span()))
    return max(found, key=lambda row: row[0])[1:] if found else None


def _loop_carried(scope: Scope) -> Iterator[tuple[str, SourceSpan, Any]]:
    """Variables that a turn of the loop computes from what the turn before has left in them."""
    loops = [node for node in scope.listing.around(scope.end) if isinstance(node, (ast.For, ast.While))]
    if not loops:
        return
    first, last = loops[-1].lineno, loops[-1].end_lineno or 0
    for text, _, value in _tensors(scope):
        inside = [one for one in scope.listing.definitions(text) if first < one.position[1] <= last]
        if not inside or not carries_history(value):
            continue
        reading = [
            position
            for position, node in scope.listing.statements
            if first < position[1] <= inside[0].position[1]
            and isinstance(node, (ast.Name, ast.Attribute))
            and isinstance(node.ctx, ast.Load)
            and ast.unparse(node) == text
        ]
        if reading or any(one.is_partial for one in inside):
            yield text, inside[-1].span(), value


def _tensors(scope: Scope) -> Iterator[tuple[str, ast.expr, Any]]:
    """The tensors with history that the function has under a name, also on ``self``."""
    seen = set()
    for _, statement in scope.listing.statements:
        if isinstance(statement, (ast.Name, ast.Attribute)):
            text = ast.unparse(statement)
            if text in seen or text.count(".") > 2:
                continue
            seen.add(text)
            value = look_up(statement, scope.names)
            if is_tensor(value):
                yield text, statement, value


def _earlier(scope: Scope, freed: set[Node]) -> tuple[SourceSpan, bool] | None:
    """The call before this one that differentiated the freed graph; whether it is this very line, a turn before."""
    found: list[tuple[Position, ast.Call, bool]] = []
    for position, node in scope.listing.statements:
        if isinstance(node, ast.Call) and _is_backward(node) and position < scope.end:
            score = node.func.value if isinstance(node.func, ast.Attribute) and node.func.attr == "backward" else None
            score = score or (node.args[0] if node.args else None)
            value: Any = look_up(score, scope.names) if score is not None else None
            shares = is_tensor(value) and bool(freed.intersection(nodes_behind(value) or ()))
            found.append((position, node, shares))
    sharing = [row for row in found if row[2]]
    if sharing or found:
        position, node, _ = (sharing or found)[-1]
        return scope.span(node, position), False
    loops = [node for node in scope.listing.around(scope.end) if isinstance(node, (ast.For, ast.While))]
    if loops:
        here = [
            n for p, n in scope.listing.statements if p == scope.end and isinstance(n, ast.Call) and _is_backward(n)
        ]
        return (scope.span(here[0], scope.end), True) if here else None
    return None


def _is_backward(call: ast.Call) -> bool:
    text = text_of(call.func, limit=200)
    return text.endswith(".backward") or text in ("torch.autograd.grad", "autograd.grad", "grad")
