"""A model as a project declares it: how to obtain it, and what is expected of its gradients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from gradflow.load.request import Request

__all__ = ["DeclaredModel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredModel:
    """One table ``[tool.gradflow.models.NAME]``.

    Attributes
    ----------
    name
        As in the table's header.
    request
        What is loaded: the model, its input and its score; ``loss`` is left out, it belongs to ``parameters``. Its
        ``trust`` is the user's own word, never that of the file.
    pyproject
        The file that declares it.
    declares_trust
        Whether the file says ``trust = true``; whether that counts, :mod:`gradflow.declared.trust` knows.
    layers
        Layers that a gradient must reach.
    disconnected
        Layers that no gradient may reach.
    all_parameters_learn, except_
        Whether every trainable parameter must get a gradient from the loss, and which need not.
    frozen
        Parameters that must get none.
    skips
        Blocks whose skip connection must carry gradient.
    loss
        ``file.py:function``, see :func:`gradflow.audit`.
    """

    name: str
    request: Request
    pyproject: Path
    declares_trust: bool = False
    layers: tuple[str, ...] = ()
    disconnected: tuple[str, ...] = ()
    all_parameters_learn: bool = False
    except_: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    skips: tuple[str, ...] = ()
    loss: str | None = None

    @property
    def folder(self) -> Path:
        """The folder that files are named relative to."""
        return self.pyproject.parent

    def trusted(self) -> DeclaredModel:
        """The same model, whose file may run code because the user has said so."""
        return replace(self, request=replace(self.request, trust=True))
