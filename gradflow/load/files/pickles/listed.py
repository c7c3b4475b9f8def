"""Functions and helper classes that ready-made models of the libraries hold beside their layers.

Explicit, and found by saving every architecture of torchvision and timm: a name that is not here is refused.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

import torch

from gradflow.load.files.pickles.draft import DamagedError, Draft, Name, RefusedError, settled
from gradflow.load.files.pickles.module_classes import installed_class, installed_module

__all__ = ["helper_classes", "is_held_class", "listed_names"]

_FUNCTIONS = {
    "torch.nn.functional": (
        "relu relu6 leaky_relu elu selu celu silu mish softplus hardswish hardsigmoid hardtanh glu gelu tanh sigmoid "
        "softmax log_softmax logsigmoid softsign tanhshrink"
    ),
    "torch._C._nn": "gelu softplus leaky_relu hardtanh log_sigmoid",
    "torchvision.ops.boxes": "box_iou",
    "torchvision.models.optical_flow.raft": "_pass_through_h",
    "timm.layers.activations": "swish mish sigmoid tanh hard_swish hard_sigmoid hard_mish gelu gelu_tanh quick_gelu",
}
"""Functions of tensors that a model may hold, by the module that defines them. The file itself calls none."""

_HELD_CLASSES = {
    "torch.nn.modules.activation": "ReLU ReLU6 LeakyReLU ELU SiLU GELU Mish Hardswish Hardsigmoid Tanh Sigmoid",
    "torch.nn.modules.batchnorm": "BatchNorm1d BatchNorm2d BatchNorm3d",
    "torch.nn.modules.instancenorm": "InstanceNorm1d InstanceNorm2d InstanceNorm3d",
    "torch.nn.modules.normalization": "LayerNorm GroupNorm RMSNorm",
    "torchvision.ops.misc": "FrozenBatchNorm2d",
    "timm.models.nextvit": "NextConvBlock NextTransformerBlock",
}
"""Classes of modules that a model may hold as classes, because it made its layers of them."""

_HELPERS = {
    "torchvision.models.detection._utils": (
        "BoxCoder BoxLinearCoder Matcher SSDMatcher BalancedPositiveNegativeSampler"
    ),
}
"""Classes of plain data that modules hold."""

_ENUMERATIONS = {
    "timm.layers.format": "Format",
    "torchvision.transforms.functional": "InterpolationMode",
}


def listed_names(module: str, name: str) -> Draft | None:
    """The entry of a function, an enumeration or a partial function; ``None`` where the name is on no list."""
    described = f"{module}.{name}"
    if (module, name) == ("functools", "partial"):
        return Name(described, call=_PartialDraft)
    if name in _FUNCTIONS.get(module, "").split():
        # torch._C._nn is made by torch itself and has no file
        owner = torch._C._nn if module == "torch._C._nn" else installed_module(module)
        return Name(described, value=_defined(owner, name, described))
    if name in _ENUMERATIONS.get(module, "").split():
        enumeration = _defined(installed_module(module), name, described)
        return Name(described, call=functools.partial(_member, enumeration))
    return None


def _defined(owner: ModuleType, name: str, described: str) -> Any:
    if name not in vars(owner):
        raise RefusedError(described, "does not exist in the installed library")
    return vars(owner)[name]


def is_held_class(module: str, name: str) -> bool:
    """Whether a model may hold this class of modules as a value."""
    return name in _HELD_CLASSES.get(module, "").split()


def helper_classes(module: str, name: str) -> type | None:
    """The helper class of that name, restored without its constructor; ``None`` where it is on no list."""
    return installed_class(module, name) if name in _HELPERS.get(module, "").split() else None


def _member(enumeration: Any, arguments: tuple[Any, ...]) -> Any:
    try:
        (value,) = settled(arguments)
        return enumeration(value)
    except (TypeError, ValueError) as error:
        raise DamagedError(f"`{enumeration.__qualname__}` has no such member") from error


class _PartialDraft(Draft):
    """A partial function, which is as harmless as what it calls: a function or class that a file may hold."""

    described = "functools.partial"

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        self._made: functools.partial[Any] | None = None
        if len(arguments) != 1:
            raise DamagedError("a partial function is made of more than a function")
        self._function = _callable(arguments[0])

    def build(self, state: Any) -> None:
        """``(function, arguments, keywords, attributes)``."""
        if self._made is not None or not isinstance(state, tuple) or len(state) != 4:
            raise DamagedError("a partial function has no state that Python writes")
        function, arguments, keywords, attributes = state
        arguments, keywords = settled(arguments), settled(keywords)
        if _callable(function) is not self._function or not isinstance(arguments, tuple) or type(keywords) is not dict:
            raise DamagedError("a partial function calls two functions")
        if attributes or not all(type(key) is str for key in keywords):
            raise DamagedError("a partial function has attributes")
        self._made = functools.partial(self._function, *arguments, **keywords)

    def settle(self) -> Any:
        """The partial function."""
        if self._made is None:
            raise DamagedError("a partial function has no state")
        return self._made


def _callable(value: Any) -> Any:
    if not isinstance(value, Draft) or isinstance(value, _PartialDraft):  # Python makes one of two partial functions
        raise RefusedError(getattr(value, "described", type(value).__name__), "would be called")
    function = value.settle()
    if not callable(function):
        raise RefusedError(value.described, "would be called")
    return function
