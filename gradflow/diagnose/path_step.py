"""A node of the graph as one step of the path that a finding shows."""

from __future__ import annotations

from typing import Literal

from gradflow.diagnose.diagnostic import PathStep
from gradflow.graph.elements import Node
from gradflow.torch_facts.operations.writing import written

__all__ = ["step_of"]


def step_of(node: Node, *, score: str, target: str) -> PathStep:
    """The step; the score and what the gradient was asked of go by the names that the report gives them."""
    kind: Literal["score", "step", "cut", "layer"] = (
        "score" if node.is_score else "layer" if node.is_layer else "cut" if node.cut else "step"
    )
    label = {"score": score, "layer": target}.get(kind) or node.module or written(node.name)
    return PathStep(kind=kind, label=label, module=node.module, operation=node.name, shape=node.shape, span=node.span)
