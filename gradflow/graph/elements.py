"""What a flow graph is made of: nodes, edges, cuts and branches, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradflow.location import SourceSpan

__all__ = ["Branch", "BranchKind", "BranchPath", "Cut", "Edge", "Node", "NodeKind"]

NodeKind = Literal["operation", "parameter", "buffer", "input", "constant", "exit", "re-entry", "module"]
BranchKind = Literal[
    "identity skip", "projection skip", "long skip", "parallel", "dense concatenation", "gate", "attention", "other"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A place where data that depends on the layer goes on, but its gradient does not.

    Attributes
    ----------
    node
        Id of the node whose output has lost the gradient.
    cause
        Name of the rule that explains it, for example ``detach`` or ``numpy-roundtrip``.
    operation
        The operation, as torch names it, for example ``Tensor.detach``.
    source
        Id of the node whose output still had it.
    span, source_span
        Where the cut is, and where the last value with a gradient path was made.
    region_span
        For cuts by a grad-mode region: where gradient recording was switched off.
    needed
        Whether this cut is in the smallest set that must be mended for the gradient to arrive.
    """

    node: str
    cause: str
    operation: str
    source: str
    module: str = ""
    span: SourceSpan | None = None
    source_span: SourceSpan | None = None
    region_span: SourceSpan | None = None
    needed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of the flow graph: an operation, a leaf, where a value leaves or re-enters torch, or a whole module.

    ``kind`` ``"module"`` occurs only in collapsed graphs, where one node stands for ``size`` operations.
    ``depends_on_layer``: the value depends on the target layer's activation; ``carries_gradient``: autograd can bring
    a gradient from this value back to the layer; ``reaches_score``: the score depends on the value. A healthy path is
    the set of nodes for which all three hold. ``index`` is the order of execution.
    """

    id: str
    kind: NodeKind
    name: str
    index: int = 0
    module: str = ""
    span: SourceSpan | None = None
    shape: tuple[int, ...] | None = None
    dtype: str = ""
    requires_grad: bool = False
    grad_fn: str = ""
    is_score: bool = False
    is_layer: bool = False
    depends_on_layer: bool = False
    carries_gradient: bool = False
    reaches_score: bool = False
    cut: str = ""
    size: int = 1

    @property
    def is_on_path(self) -> bool:
        """Whether the gradient from the score to the layer passes here."""
        return self.depends_on_layer and self.carries_gradient and self.reaches_score


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An edge of the flow graph.

    ``"value"`` edges point the way data flowed (producer to consumer), ``"gradient"`` edges the way
    ``next_functions`` points
    (from the score to the layer). ``is_cut`` marks a value edge over which data went on and its gradient did not.
    """

    source: str
    target: str
    kind: Literal["value", "gradient"]
    is_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchPath:
    """One of the ways from a fork to a join; ``nodes`` are those strictly between, in order of execution.

    ``gradient_share`` is the signed share of the gradient arriving at the fork that came this way,
    ``<g_path, g> / ||g||^2`` (the shares of a branch sum to 1); ``None`` where it was not measured.
    """

    nodes: tuple[str, ...]
    is_identity: bool
    carries_gradient: bool
    gradient_share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A region in which the path from the layer to the score splits (``fork``) and comes together again (``join``)."""

    fork: str
    join: str
    kind: BranchKind
    module: str
    paths: tuple[BranchPath, ...]
    span: SourceSpan | None = None
