"""What an audit found out about the parameters of a model, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradflow.location import SourceSpan

__all__ = ["GroupKind", "Holder", "ParameterGroup", "UnitCount"]

GroupKind = Literal["module not called", "never read", "cut", "discarded", "lost", "zero", "not finite", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGroup:
    """Parameters that share a cause; ``members`` in the model's order.

    ``subject`` is what to look into: the outermost module that never ran, else the member whose data is read last, the
    one nearest to the score.
    """

    kind: GroupKind
    members: tuple[str, ...]
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """An attribute that holds trainable tensors which the model does not know of.

    Attributes
    ----------
    owner, owner_type, attribute
        The module, its class, and the attribute of it.
    container
        ``"list"``, ``"dict"``, ...; empty where the attribute is the tensor, or an object of another kind.
    is_layers
        Whether the tensors belong to modules.
    names
        Of the tensors, written like qualified names.
    span
        Where the attribute is assigned or filled; ``None`` where the source does not tell.
    """

    owner: str
    owner_type: str
    attribute: str
    container: str
    is_layers: bool
    names: tuple[str, ...]
    span: SourceSpan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCount:
    """How many units of one operation's result were zero at all of ``place_count`` samples and positions."""

    operation: int
    unit_count: int
    dead_count: int
    place_count: int
