"""What holds trainable tensors without the model knowing of them."""

from __future__ import annotations

from dataclasses import dataclass

from gradflow.location import SourceSpan

__all__ = ["Holder"]


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
    key
        How the keys of a mapping are written so that torch's own container takes them, as ``"str(key)"``; empty where
        there are none, or no way of writing them was found.
    is_flat
        Whether torch's own container takes the items as they are, but for the keys.
    """

    owner: str
    owner_type: str
    attribute: str
    container: str
    is_layers: bool
    names: tuple[str, ...]
    span: SourceSpan | None = None
    key: str = ""
    is_flat: bool = True
