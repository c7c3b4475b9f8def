"""Which kind of branch a region is: identity, projection or long skip, parallel, dense, gate, attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradflow.graph.elements import BranchKind
from gradflow.torch_facts.operations.families import is_identity, is_weight_free, is_weighted
from gradflow.torch_facts.operations.queries import has

__all__ = ["PathSummary", "branch_kind"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSummary:
    """What lies on one way from a fork to a join.

    ``is_trivial``: nothing but glue (element-wise, shape, reduction, normalisation). ``gated``: ends in a sigmoid or
    the like.
    """

    length: int
    weighted_count: int
    activation_count: int
    upsamples: bool
    is_trivial: bool
    is_identity: bool
    gated: bool
    inner_skip_count: int
    holds_long_skip: bool

    @classmethod
    def of(cls, names: Sequence[str], *, gated: bool, inner_skip_count: int, holds_long_skip: bool) -> PathSummary:
        """Summarise the operations of a path from their names."""
        return cls(
            length=len(names),
            weighted_count=sum(map(is_weighted, names)),
            activation_count=sum(has(name, "activation") for name in names),
            upsamples=any(has(name, "upsamples") for name in names),
            is_trivial=all(map(is_weight_free, names)),
            is_identity=all(map(is_identity, names)),
            gated=gated,
            inner_skip_count=inner_skip_count,
            holds_long_skip=holds_long_skip,
        )

    @property
    def goes_far(self) -> bool:
        """Whether it goes down and up again, or around other skips."""
        return self.weighted_count >= 2 and (self.upsamples or self.inner_skip_count >= 2 or self.holds_long_skip)


def branch_kind(
    family: str,
    paths: Sequence[PathSummary],
    *,
    overlapping: bool,
    is_dense: bool,
    splits: bool,
    stacks: bool,
    is_attention: bool,
) -> BranchKind | None:
    """The kind of a branch, ``None`` for a trivial one.

    Parameters
    ----------
    family
        How the join brings its inputs together, see :func:`gradflow.torch_facts.operations.families.join_family`.
    paths
        One summary per path.
    overlapping
        Whether a path runs over part of another one.
    is_dense
        Whether the join concatenates again what earlier joins of the same fork had concatenated.
    splits
        Whether the fork hands different values to its paths.
    stacks
        Whether the join is ``torch.stack``, which gathers steps of a sequence rather than features.
    is_attention
        Whether a matrix product belongs to an attention.
    """
    if family == "attention" and is_attention:
        return "attention"
    if all(path.is_trivial for path in paths):
        return None
    if family == "mul":
        return "gate" if any(path.gated for path in paths) else "other"
    if family == "cat":
        return _concatenation(paths, overlapping=overlapping, is_dense=is_dense, splits=splits, stacks=stacks)
    if family == "add":
        return _sum(paths)
    return "other"


def _concatenation(
    paths: Sequence[PathSummary], *, overlapping: bool, is_dense: bool, splits: bool, stacks: bool
) -> BranchKind:
    if stacks and overlapping:
        return "other"
    if not splits and _is_long(paths):
        return "long skip"
    adds_to_fork = len(paths) == 2 and any(path.length == 0 for path in paths) and not splits
    return "dense concatenation" if is_dense or overlapping or adds_to_fork else "parallel"


def _sum(paths: Sequence[PathSummary]) -> BranchKind:
    if _is_long(paths):
        return "long skip"
    if any(path.weighted_count == 0 and path.activation_count == 0 for path in paths):
        return "identity skip"
    counts = [path.activation_count for path in paths]
    return "projection skip" if min(counts) == 0 < max(counts) else "parallel"


def _is_long(paths: Sequence[PathSummary]) -> bool:
    straight = min(paths, key=lambda path: (path.weighted_count, path.length))
    if straight.weighted_count > 1 or straight.inner_skip_count:
        return False
    return any(path.goes_far for path in paths if path is not straight)
