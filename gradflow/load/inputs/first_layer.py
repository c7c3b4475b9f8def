"""Which shapes a layer takes, as far as its attributes say so."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from gradflow.load.inputs.random_input import whole_number

__all__ = ["Candidate", "candidates_of"]

_IMAGE_SIZES_LARGE = (224, 256, 32, 64, 28, 299, 128, 384, 512, 96)
_IMAGE_SIZES_SMALL = (32, 28, 64, 224, 16, 8, 128, 96, 48, 256)
_LENGTHS = (64, 128, 1024, 16_000, 32, 16)
_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Candidate:
    """An input that a layer may take; ``dtype`` is ``None`` for that of the model."""

    shape: tuple[int, ...]
    dtype: torch.dtype | None = None


def candidates_of(module: nn.Module, *, is_large: bool) -> tuple[Candidate, ...] | None:
    """Inputs to try with a model whose first layer this is, the likeliest first.

    ``None`` for a kind of layer that tells nothing; empty for one that should, but whose attribute is no whole number:
    the attributes of a layer from a file can be anything. A lazy layer says 0, which stands for a usual number.
    """
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return (Candidate((1, _TOKENS), torch.int64), Candidate((1, 8), torch.int64), Candidate((1,), torch.int64))
    if isinstance(module, nn.LayerNorm):
        shape = getattr(module, "normalized_shape", None)
        sizes = [whole_number(size, least=1) for size in shape] if isinstance(shape, (tuple, list)) else [None]
        return () if None in sizes else (Candidate((1, _TOKENS, *(size for size in sizes if size is not None))),)
    for kind, attribute, usual in _WIDTHS:
        if isinstance(module, kind):
            width = whole_number(getattr(module, attribute, None))
            return () if width is None else _of_width(module, width or usual, is_large=is_large)
    return None


_WIDTHS: tuple[tuple[type[nn.Module], str, int], ...] = (
    (nn.Conv2d, "in_channels", 3),
    (nn.Conv1d, "in_channels", 1),
    (nn.Conv3d, "in_channels", 3),
    (nn.ConvTranspose2d, "in_channels", 3),
    (nn.RNNBase, "input_size", 1),
    (nn.RNNCellBase, "input_size", 1),
    (nn.Linear, "in_features", 16),
    (nn.MultiheadAttention, "embed_dim", 1),
)
"""The attribute of a kind of layer that says how wide its input is, and what a lazy one is tried with."""


def _of_width(module: nn.Module, width: int, *, is_large: bool) -> tuple[Candidate, ...]:
    shapes: tuple[tuple[int, ...], ...]
    match module:
        case nn.Conv2d():
            shapes = tuple((1, width, size, size) for size in (_IMAGE_SIZES_LARGE if is_large else _IMAGE_SIZES_SMALL))
        case nn.Conv1d():
            shapes = tuple((1, width, length) for length in _LENGTHS)
        case nn.Conv3d():
            shapes = tuple((1, width, *size) for size in ((16, 32, 32), (16, 112, 112), (16, 16, 16)))
        case nn.ConvTranspose2d():
            shapes = tuple((1, width, size, size) for size in (8, 1, 4, 16, 32))
        case nn.RNNBase():
            flag = getattr(module, "batch_first", False)
            is_batch_first = isinstance(flag, int) and bool(flag)
            shapes = ((1, _TOKENS, width) if is_batch_first else (_TOKENS, 1, width),)
        case nn.RNNCellBase() | nn.Linear():
            shapes = ((1, width), (1, _TOKENS, width))
        case _:
            shapes = ((1, _TOKENS, width),)
    return tuple(Candidate(shape) for shape in shapes)
