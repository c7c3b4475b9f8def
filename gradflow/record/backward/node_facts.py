"""What an autograd node tells of its own derivative: by what it multiplies, and whether it is zero for any input."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from gradflow.record.backward.dense_values import is_something, numbers_of
from gradflow.recording.gradients import NodeFacts
from gradflow.torch_facts import nodes
from gradflow.torch_facts.node_kind import kind_of, operation_behind
from gradflow.torch_facts.operations.queries import has
from gradflow.torch_facts.pointwise import is_pointwise

__all__ = [
    "can_cancel",
    "factor_of",
    "facts_of",
    "ignores_all",
    "is_of_equals",
    "is_of_one_entry",
    "is_padding",
    "is_staircase",
    "zero_operands",
]


def can_cancel(node: Any) -> bool:
    """Whether a node adds up entries of the gradient, so that next to nothing may be left of large ones."""
    return kind_of(node) not in nodes.ENTRY_BY_ENTRY


def facts_of(node: Any, edges: Iterable[int], *, reads_saved: bool = True) -> NodeFacts:
    """Ask a node while its graph still holds the saved tensors; without them where they are not to be looked at."""
    if not reads_saved:
        return NodeFacts(is_staircase=is_staircase(node), is_pointwise=is_pointwise(node))
    dead = tuple(edges)
    factors = [factor_of(node, edge) for edge in dead]
    least = [_least_factor_of(node, edge) for edge in dead]
    return NodeFacts(
        factor=max((factor for factor in factors if factor is not None), default=None),
        least_factor=None if None in least else min((factor for factor in least if factor is not None), default=None),
        is_staircase=is_staircase(node),
        is_pointwise=is_pointwise(node),
        is_of_one_entry=is_of_one_entry(node),
        ignores_all=ignores_all(node),
        is_padding=is_padding(node),
        is_of_equals=is_of_equals(node),
        zero_operands=zero_operands(node, dead),
    )


def is_staircase(node: Any) -> bool:
    """Whether the derivative is zero everywhere, whatever the input: rounding, signs, nearest sampling of a grid."""
    kind = kind_of(node)
    if has(operation_behind(node), "flat") or (kind == "Div" and nodes.saved(node, "rounding_mode") is not None):
        return True
    return nodes.is_grid_sampler(kind) and nodes.saved(node, "interpolation_mode") == nodes.NEAREST


def is_of_one_entry(node: Any) -> bool:
    """Whether a softmax is over a single entry, whose share is 1 whatever it is."""
    if not nodes.is_softmax(kind_of(node)):
        return False
    shares = _saved(node, "result")
    if shares is None or not shares.dim():
        return shares is not None
    return bool(shares.shape[nodes.signed(nodes.saved(node, "dim"))] == 1)


def ignores_all(node: Any) -> bool:
    """Whether a loss over classes leaves every position out, because its label is the one to ignore."""
    if not nodes.is_loss_over_classes(kind_of(node)):
        return False
    labels = _saved(node, "target")
    ignored = nodes.signed(nodes.saved(node, "ignore_index"))
    with torch.no_grad():
        return labels is not None and labels.numel() > 0 and bool((labels == ignored).all())


def is_padding(node: Any) -> bool:
    """Whether an embedding looks up nothing but the row whose gradient its ``padding_idx`` withholds."""
    if not nodes.is_embedding(kind_of(node)):
        return False
    rows, padding = _saved(node, "indices"), nodes.signed(nodes.saved(node, "padding_idx", -1))
    with torch.no_grad():
        return rows is not None and rows.numel() > 0 and bool((rows == padding).all())


def is_of_equals(node: Any) -> bool:
    """Whether a standard deviation or variance is one of values that are all equal, where torch's slope is zero."""
    values = _saved(node, "self") if kind_of(node) in nodes.SPREADS else None
    if values is None or not values.numel():
        return False
    with torch.no_grad():
        saved = nodes.saved(node, "dim") or range(values.dim())
        along = [nodes.signed(each) for each in saved]
        return torch.equal(values.amax(along), values.amin(along)) if along else True


def zero_operands(node: Any, edges: Iterable[int]) -> tuple[int, ...]:
    """Which inputs of a product or quotient are all zero, so that nothing goes on along ``edges``."""
    kind = kind_of(node)
    found = []
    for edge in edges:
        operand = nodes.OPERANDS.get(kind, {}).get(edge, -1)
        saved = _saved(node, "self" if kind == "Div" else nodes.FACTORS[kind][edge]) if operand >= 0 else None
        if saved is not None and saved.numel() and not is_something(saved):
            found.append(operand)
    return tuple(found)


def factor_of(node: Any, edge: int) -> float | None:
    """The largest magnitude in what the gradient along ``edge`` is multiplied with; ``None`` where that is not known.

    To be asked while the graph still holds its saved tensors.
    """
    if _is_added(node, edge):
        return 1.0
    factor = _factor(node, edge)
    with torch.no_grad():
        return None if factor is None else float(_sizes(factor).amax())


def _least_factor_of(node: Any, edge: int) -> float | None:
    """The smallest magnitude of the same; a factor without any zero in it is not what makes a gradient zero."""
    if _is_added(node, edge):
        return 1.0
    factor = _factor(node, edge)
    with torch.no_grad():
        return None if factor is None else float(_sizes(factor).amin())


def _sizes(factor: torch.Tensor) -> torch.Tensor:
    """Magnitudes; of a mask of truth values its ones and zeros, for which torch has no ``abs``."""
    dense = factor.detach()
    return dense if dense.dtype == torch.bool else dense.abs()


def _is_added(node: Any, edge: int) -> bool:
    return edge in nodes.ADDED.get(kind_of(node), ())


def _factor(node: Any, edge: int) -> torch.Tensor | None:
    attribute = nodes.FACTORS.get(kind_of(node), {}).get(edge)
    factor = _saved(node, attribute) if attribute is not None else None
    numbers = numbers_of(factor.detach()) if factor is not None and factor.numel() else None
    return numbers if numbers is not None and numbers.numel() else None


def _saved(node: Any, attribute: str) -> torch.Tensor | None:
    try:
        saved = nodes.saved(node, attribute)
    except RuntimeError:
        # changed in place since, or freed: torch does not hand it out
        return None
    return saved if isinstance(saved, torch.Tensor) else None
