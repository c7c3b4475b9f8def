"""What part a module plays, told from its class and, for the user's own classes, from how the class is called."""

from __future__ import annotations

from torch import nn

__all__ = ["class_role", "is_attention", "is_convolution", "is_passive"]

_ROLE_BY_FILE = {
    "torch.nn.modules.activation": "activation",
    "torch.nn.modules.batchnorm": "normalisation",
    "torch.nn.modules.instancenorm": "normalisation",
    "torch.nn.modules.normalization": "normalisation",
    "torch.nn.modules.pooling": "pooling",
    "torch.nn.modules.dropout": "dropout",
    "torch.nn.modules.flatten": "reshaping",
    "torch.nn.modules.upsampling": "resizing",
    "torch.nn.modules.pixelshuffle": "reshaping",
    "torch.nn.modules.fold": "reshaping",
    "torch.nn.modules.padding": "resizing",
    "torch.nn.modules.sparse": "embedding",
    "torch.nn.modules.loss": "loss",
    "torch.nn.modules.rnn": "recurrent",
}
"""torch keeps each kind of module in a file of its own, so that the file tells the role of subclasses too."""

_ROLE_BY_WORD = (
    ("attention", "attention"),
    ("attn", "attention"),
    ("norm", "normalisation"),
    ("pool", "pooling"),
    ("dropout", "dropout"),
    ("droppath", "dropout"),
    ("stochasticdepth", "dropout"),
    ("permute", "reshaping"),
    ("flatten", "reshaping"),
    ("embed", "embedding"),
)

_PASSIVE = frozenset(("pooling", "dropout", "reshaping", "resizing", "identity"))


def class_role(module: nn.Module) -> str:
    """The role that the module's class gives away; empty where it does not."""
    if isinstance(module, nn.MultiheadAttention):
        return "attention"
    if isinstance(module, nn.Identity):
        return "identity"
    for parent in type(module).__mro__:
        role = _ROLE_BY_FILE.get(parent.__module__)
        if role is not None:
            return role
    word = type(module).__name__.lower()
    has_children = next(module.children(), None) is not None
    for part, role in _ROLE_BY_WORD:
        if part in word and (role == "attention" or not has_children):
            return role
    return ""


def is_attention(module: nn.Module) -> bool:
    """Whether the module mixes tokens by attention; a whole transformer block with attention in its name counts too."""
    return class_role(module) == "attention"


def is_convolution(module: nn.Module) -> bool:
    """Whether the module slides a window over a plane or a volume."""
    kinds = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    return isinstance(module, kinds)


def is_passive(module: nn.Module) -> bool:
    """Whether the module learns nothing and sees nothing: it pools, drops, resizes or reshapes."""
    return class_role(module) in _PASSIVE and next(module.parameters(), None) is None
