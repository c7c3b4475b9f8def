"""What was seen of the modules of a program, as plain data; see :mod:`gradflow.recording.program.events`."""

from __future__ import annotations

from dataclasses import dataclass

from gradflow.location import SourceSpan

__all__ = ["ModuleFlag", "OwnBackward", "PlainTensor", "Replacement", "WatchedModule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFlag:
    """``requires_grad`` was set on a module, where it is a plain attribute that changes no parameter."""

    module: int
    site: int
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnBackward:
    """A method ``backward`` of a module class; ``least`` and ``most`` arguments it takes (-1 for any number)."""

    span: SourceSpan
    least: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedModule:
    """A module that was called, or that has a hook. ``root`` is the outermost module that it was found in.

    ``compiled_into`` is the module that runs a captured program in its place: the model given to ``torch.compile``,
    or what TorchScript made; ``hooks_compiled_until`` how many hooks there were when scripting compiled them too.
    ``is_graph`` marks a graph that ``torch.fx`` or ``torch.export`` made of a model.

    ``ran_training`` tells whether it was ever called in training mode.

    ``is_reachable`` tells whether that root still holds it at the end. ``own_backward`` is a method ``backward`` that
    its class defines although only ``autograd.Function`` has one.
    """

    key: int
    type_name: str
    name: str = ""
    root: int = -1
    made_at: int = -1
    is_reachable: bool = True
    is_graph: bool = False
    ran_training: bool = False
    compiled_into: int = -1
    hooks_compiled_until: int = -1
    has_parameters: bool = False
    is_trainable: bool = False
    parameters: tuple[int, ...] = ()
    own_backward: OwnBackward | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainTensor:
    """A trainable tensor that a module holds as a plain attribute, where ``parameters()`` does not see it.

    ``is_computed`` tells that it is no leaf, but was computed from some.
    """

    value: int
    name: str
    owner: str
    span: SourceSpan | None
    is_computed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """A parameter or module took the place of another one: ``old`` are the parameters that left, ``new`` that came."""

    site: int
    operation: int
    name: str
    old: tuple[int, ...]
    new: tuple[int, ...] = ()
    module: int = -1
