"""Random tensors from a generator of their own, so that torch's global one stays as it is."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import torch

from gradflow.errors import UsageError
from gradflow.load.names import did_you_mean

__all__ = ["DTYPES", "largest_id", "parse_dtype", "parse_shape", "random_tensor"]

DTYPES: dict[str, torch.dtype] = {
    name: getattr(torch, name)
    for name in "float32 float64 bfloat16 float16 complex64 complex128 int64 int32 int16 int8 uint8 bool".split()
}
_ALIASES = {"float": "float32", "double": "float64", "half": "float16", "long": "int64", "int": "int32"}
_FEW_IDS = 10
_MOST_ENTRIES = 2**33


def parse_dtype(text: str) -> torch.dtype:
    """``"float32"``, ``"torch.float32"`` or ``"half"`` as a dtype.

    Raises
    ------
    UsageError
        When there is no such dtype.
    """
    name = text.strip().removeprefix("torch.").lower()
    name = _ALIASES.get(name, name)
    if name not in DTYPES:
        hint = did_you_mean(name, DTYPES) or f"there are {', '.join(DTYPES)}"
        raise UsageError(f"there is no dtype `{text}`", hint=hint)
    return DTYPES[name]


def parse_shape(text: str) -> tuple[tuple[int, ...], torch.dtype | None]:
    """``"1,3,224,224"`` or ``"1,16:int64"`` as a shape and, where it is given, a dtype. Brackets are allowed.

    Raises
    ------
    UsageError
        When it is neither.
    """
    sizes, colon, kind = text.partition(":")
    inner = sizes.strip().strip("[]()").strip()
    words = re.split(r"\s*[,x×\s]\s*", inner.removesuffix(",")) if inner else []
    if not all(word.isdecimal() for word in words):
        raise UsageError(
            f"`{text}` is not a shape",
            note="a shape is a list of sizes, with the batch first: `1,3,224,224`; a dtype can follow: `1,16:int64`",
        )
    shape = tuple(int(word) for word in words)
    if math.prod(shape) > _MOST_ENTRIES:
        raise UsageError(f"a tensor of shape {list(shape)} does not fit into memory", hint="give smaller sizes")
    return shape, parse_dtype(kind) if colon else None


def random_tensor(
    shape: Sequence[int], dtype: torch.dtype | None, *, model: torch.nn.Module, seed: int, high: int | None = None
) -> torch.Tensor:
    """A tensor on the CPU: standard normal, or whole numbers from 0 to ``high`` (exclusive).

    ``dtype`` defaults to that of the model's first floating-point parameter; ``high`` to what the model's smallest
    embedding can take.
    """
    if dtype is None:
        dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.get_default_dtype())
    generator = torch.Generator(device="cpu").manual_seed(seed)
    if dtype.is_floating_point or dtype.is_complex:
        drawn_as = dtype if dtype.is_complex or dtype in (torch.float32, torch.float64) else torch.float32
        return torch.randn(tuple(shape), generator=generator, dtype=drawn_as, device="cpu").to(dtype)
    high = 2 if dtype is torch.bool else high or largest_id(model) or _FEW_IDS
    if dtype in (torch.int8, torch.uint8):
        high = min(high, torch.iinfo(dtype).max)
    return torch.randint(0, high, tuple(shape), generator=generator, device="cpu").to(dtype)


def largest_id(model: torch.nn.Module) -> int | None:
    """The number of ids that every embedding of the model takes; ``None`` where it has none."""
    kinds = (torch.nn.Embedding, torch.nn.EmbeddingBag)
    return min((module.num_embeddings for module in model.modules() if isinstance(module, kinds)), default=None)
