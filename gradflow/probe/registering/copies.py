"""Registered parameters that nothing reads, while a copy that was made before the run is read in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from gradflow.probe.audit_evidence import GroupCause

__all__ = ["copied_values", "copies_of_groups"]

Pairs = tuple[tuple[str, str], ...]
_UNREAD = frozenset({"module not called", "never read"})


def copies_of_groups(
    causes: Sequence[GroupCause], held: Sequence[Mapping[str, torch.Tensor]], registered: Mapping[str, torch.Tensor]
) -> list[Pairs]:
    """For each of several collections of tensors the groups of unread parameters that it is a copy of."""
    found: list[Pairs] = [()] * len(held)
    for cause in causes:
        members = cause.group.members
        if cause.group.kind in _UNREAD and all(name in registered for name in members):
            for place, tensors in enumerate(held):
                found[place] += copied_values({name: registered[name] for name in members}, tensors)
    return found


def copied_values(originals: Mapping[str, torch.Tensor], copies: Mapping[str, torch.Tensor]) -> Pairs:
    """Pairs of a parameter and the tensor that holds the same values, alone or stacked with others.

    Nothing where not all of the parameters are found. A parameter of one number throughout says nothing by itself: it
    counts beside one of its own module that has several.
    """
    pairs = []
    telling: set[str] = set()
    for name, original in originals.items():
        found = next((other for other, copy in copies.items() if _holds(copy, original)), None)
        if found is None:
            return ()
        pairs.append((name, found))
        if bool((original != original.flatten()[:1]).any()):
            telling.add(name.rpartition(".")[0])
    return tuple(pairs) if all(name.rpartition(".")[0] in telling for name in originals) else ()


def _holds(copy: torch.Tensor, original: torch.Tensor) -> bool:
    if copy.device != original.device or copy.dtype != original.dtype or original.is_meta:
        return False
    if copy.shape == original.shape:
        return bool((copy == original).all())
    is_stacked = copy.ndim == original.ndim + 1 and copy.shape[1:] == original.shape
    return is_stacked and bool((copy == original).flatten(1).all(1).any())
