"""A gradient is asked of a tensor that autograd's graph of the score does not contain."""

from __future__ import annotations

import ast

import torch

from gradflow.record.backward.walk import Node
from gradflow.record.operations.tensor_facts import is_leaf
from gradflow.torch_facts.nodes import shape_of_result
from gradflow.watch.finding import Finding, finding
from gradflow.watch.post_mortem.aftermath import Aftermath
from gradflow.watch.post_mortem.autograd_facts import contains, describe, grad_fn_of, holds, nodes_behind
from gradflow.watch.post_mortem.loss_findings import MORE, loss_findings
from gradflow.watch.post_mortem.source import text_of
from gradflow.watch.post_mortem.trail import Trail

__all__ = ["not_in_graph", "not_reached"]


def not_in_graph(after: Aftermath) -> tuple[Finding, ...]:
    """``autograd.grad`` refused: "appears to not have been used in the graph"."""
    if not after.roots:
        return ()
    root = after.roots[0]
    for index, target in enumerate(after.inputs):
        if not any(contains(one, target) in (True, None) for one in after.roots):
            return not_reached(after, root, after.root_node(), target, after.input_node(index))
    return ()


def not_reached(
    after: Aftermath, root: torch.Tensor, root_node: ast.expr | None, target: torch.Tensor, node: ast.expr | None
) -> tuple[Finding, ...]:
    """Why no gradient of ``root`` reaches ``target``; both have a history, and the graph does not lead there."""
    name = f"`{text_of(node)}`" if node is not None else "the tensor asked for"
    score = f"`{text_of(root_node)}`" if root_node is not None else "the score"
    facts = (f"{name} is {describe(target)}; autograd's graph of {score} does not contain it",)
    message = f"no gradient of {score} reaches {name}"
    trail = Trail(holds(lambda tensor: contains(tensor, target)), is_made_anew=False)
    if root_node is not None and after.scope is not None:
        trail.search(root_node, after.scope, root)
    plain_name = name.strip("`")
    found = loss_findings(trail.losses, message, after.span, target=plain_name, score=score, facts=facts)
    if found and found[0].diagnostic.severity == "error":
        return found
    if not is_leaf(target):
        twin = _twin(root, target)
        if twin is not None:
            return (_other_pass(after, name, score, twin, facts, node),)
        if _is_side_branch(root, target) and not found:
            return (_side_branch(after, name, score, facts),)
    return found or (_undetermined(after, message, plain_name, score, facts),)


def _leaves(nodes: list[Node]) -> set[int]:
    return {id(variable) for node in nodes if (variable := getattr(node, "variable", None)) is not None}


def _twin(root: torch.Tensor, target: torch.Tensor) -> str | None:
    """The name of a node of the score's graph that did the same as the target's, on the same parameters, anew.

    The two graphs have no computed node in common: they come from different forward passes.
    """
    mine, theirs = nodes_behind(target), nodes_behind(root)
    made_by = grad_fn_of(target)
    if mine is None or theirs is None or made_by is None:
        return None
    leaves = _leaves(mine)
    computed = {node for node in mine if getattr(node, "variable", None) is None}
    if not leaves or not leaves <= _leaves(theirs) or computed & set(theirs):
        return None
    alike = [
        node for node in theirs if node.name() == made_by.name() and shape_of_result(node) == shape_of_result(made_by)
    ]
    return made_by.name() if alike else None


def _is_side_branch(root: torch.Tensor, target: torch.Tensor) -> bool:
    """Whether both were computed from a tensor in common that is not a leaf."""
    mine, theirs = nodes_behind(target), nodes_behind(root)
    if mine is None or theirs is None:
        return False
    computed = {node for node in mine if getattr(node, "variable", None) is None}
    return bool(computed & set(theirs))


def _other_pass(
    after: Aftermath, name: str, score: str, twin: str, facts: tuple[str, ...], node: ast.expr | None
) -> Finding:
    made = None
    if node is not None and after.scope is not None:
        key = text_of(node)
        defined = after.scope.last_definitions(node, key, after.scope.end)
        made = defined[0].span() if defined else None
    return finding(
        "stale-activation",
        "stale",
        f"{name} belongs to another forward pass than {score}",
        made or after.span,
        label="set in another forward pass",
        annotations=((after.span, "asked for here"),),
        notes=(
            (
                f"both were computed with the same parameters, by the same steps (`{twin}`), "
                "and their graphs have no computed tensor in common"
            ),
            *facts,
        ),
        helps=("take the activation and the score from one and the same forward pass: run the model once",),
        target=name.strip("`"),
        score=score,
        rank=0,
    )


def _side_branch(after: Aftermath, name: str, score: str, facts: tuple[str, ...]) -> Finding:
    return finding(
        "output-discarded",
        "unused",
        f"{score} was not computed from {name}, only from something that both come from",
        after.span,
        label="a side branch of the forward is asked for",
        notes=(
            *facts,
            "a slice or copy that is made for the question alone is a side branch: the score does not read it",
            "a way that was cut off would look the same to autograd; the source shows none",
        ),
        helps=("ask for the tensor that the forward itself goes on with", MORE[0]),
        severity="warning",
        target=name.strip("`"),
        score=score,
        rank=0,
    )


def _undetermined(after: Aftermath, message: str, target: str, score: str, facts: tuple[str, ...]) -> Finding:
    return finding(
        "backward-raised",
        "error",
        message,
        after.span,
        label="asked for here",
        notes=(
            *facts,
            "whether the way was cut or never was there is not determined, because what ran before was not seen",
        ),
        helps=MORE,
        target=target,
        score=score,
        rank=0,
    )
