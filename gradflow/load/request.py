"""What a user names on the command line, before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The words of one ``gradflow check``, unresolved.

    Attributes
    ----------
    model
        ``resnet50``, ``torchvision:swin_t``, ``timm:convnext_tiny``, ``train.py:build``, ``pkg.module:model``, or a
        file.
    weights
        Name of trained weights, ``DEFAULT`` or ``none``; ``None`` means none.
    arch
        What to build for a file that holds only tensors: any other kind of ``model``.
    model_args
        ``(name, value)`` pairs for the factory, values as typed.
    trust
        Whether a file may run code of its own while it is loaded.
    image
        Path of a picture.
    inputs
        Paths of tensors, or ``file.py:factory``; one per positional argument of the model when there are several.
    input_shapes
        ``1,3,224,224`` or ``1,16:int64``; one per positional argument.
    target
        Class index, ``top1``, ``top2``, ..., or the name of a class.
    output
        Which part of the model's output is the score taken from: ``logits``, ``0``, ``aux.logits``, ``["out"][0]``.
    score
        ``file.py:function``, called with the model's output.
    loss
        ``file.py:function``, called with the model's output and, if it takes two arguments, its input; in the place of
        a score.
    mode
        The mode to run the model in; by default eval for one that is built by its name, else the one that it is in.
    """

    model: str
    weights: str | None = None
    arch: str | None = None
    model_args: tuple[tuple[str, str], ...] = ()
    trust: bool = False
    image: str | None = None
    inputs: tuple[str, ...] = ()
    input_shapes: tuple[str, ...] = ()
    target: str | None = None
    output: str | None = None
    score: str | None = None
    loss: str | None = None
    device: str | None = None
    dtype: str | None = None
    seed: int | None = None
    mode: Literal["train", "eval"] | None = None
