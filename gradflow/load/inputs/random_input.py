"""Random tensors from a generator of their own, so that torch's global one stays as it is."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Sequence

import torch

from gradflow.errors import UsageError
from gradflow.load.module_tree import modules_in, parameters_in
from gradflow.load.names import did_you_mean

__all__ = [
    "DTYPES",
    "GIVEN_BYTES",
    "GUESSED_BYTES",
    "bytes_of",
    "default_dtype",
    "largest_id",
    "parse_dtype",
    "parse_shape",
    "random_tensor",
    "whole_number",
]

GUESSED_BYTES = 2**28
"""The most that an inferred input may take: 256 MiB, some hundred times what an ordinary one does."""

GIVEN_BYTES = 2**32
"""The most that one random input may take, also where its shape is given: 4 GiB."""

DTYPES: dict[str, torch.dtype] = {
    name: getattr(torch, name)
    for name in "float32 float64 bfloat16 float16 complex64 complex128 int64 int32 int16 int8 uint8 bool".split()
}
_ALIASES = {"float": "float32", "double": "float64", "half": "float16", "long": "int64", "int": "int32"}
_FEW_IDS = 10
_DIGITS = 18  # a size of more does not fit into 64 bits, and Python refuses to read thousands of them


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
    kind_of = parse_dtype(kind) if colon else None
    if any(len(word) > _DIGITS for word in words):
        raise UsageError("a tensor of that shape does not fit into memory", hint="give smaller sizes")
    shape = tuple(int(word) for word in words)
    _require_room(shape, kind_of or torch.float32, GIVEN_BYTES)
    return shape, kind_of


def bytes_of(shape: Sequence[int], dtype: torch.dtype) -> int:
    """How much memory it takes to draw a random tensor of this shape; sizes of 0 count as 1."""
    return math.prod(max(size, 1) for size in shape) * max(dtype.itemsize, 4 if dtype.is_floating_point else 8)


def _require_room(shape: Sequence[int], dtype: torch.dtype, most: int) -> None:
    needed = bytes_of(shape, dtype)
    if needed > most:
        raise UsageError(
            f"a random input of shape {list(shape)} would take {_in_gib(needed)} of memory",
            note=f"gradflow makes none of more than {_in_gib(most)}",
            hint="give smaller sizes, or an input of your own with `--input train.py:example`",
        )


def _in_gib(count: int) -> str:
    return f"{count / 2**30:,.2f} GiB" if count < 2**60 else f"more than {2**30:,} GiB"


def random_tensor(
    shape: Sequence[int],
    dtype: torch.dtype | None,
    *,
    model: torch.nn.Module,
    seed: int,
    high: int | None = None,
    most: int = GIVEN_BYTES,
) -> torch.Tensor:
    """A tensor on the CPU: standard normal, or whole numbers from 0 to ``high`` (exclusive).

    ``dtype`` defaults to that of the model's first floating-point parameter; ``high`` to what the model's smallest
    embedding can take.

    Raises
    ------
    UsageError
        When it would take more than ``most`` bytes, or there is not so much memory.
    """
    if dtype is None:
        dtype = default_dtype(model)
    _require_room(shape, dtype, most)
    generator = torch.Generator(device="cpu").manual_seed(seed)
    if dtype.is_floating_point or dtype.is_complex:
        drawn_as = dtype if dtype.is_complex or dtype in (torch.float32, torch.float64) else torch.float32
        return _empty(shape, drawn_as).normal_(generator=generator).to(dtype)
    high = 2 if dtype is torch.bool else high or largest_id(model) or _FEW_IDS
    high = min(high, torch.iinfo(dtype).max if dtype is not torch.bool else 2)
    return _empty(shape, torch.int64).random_(0, high, generator=generator).to(dtype)


def default_dtype(model: torch.nn.Module) -> torch.dtype:
    """That of the model's first floating-point parameter, else torch's default."""
    return next((p.dtype for p in parameters_in(model) if p.is_floating_point()), torch.get_default_dtype())


def _empty(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    try:
        return torch.empty(tuple(shape), dtype=dtype, device="cpu")
    except (RuntimeError, TypeError, ValueError) as error:  # too little memory, or a size beyond 64 bits
        raise UsageError(
            f"there is no memory for a random input of shape {list(shape)}",
            hint="give smaller sizes, or an input of your own with `--input train.py:example`",
        ) from error


def largest_id(model: torch.nn.Module) -> int | None:
    """The number of ids that every embedding of the model takes; ``None`` where it has none that says so."""
    kinds = (torch.nn.Embedding, torch.nn.EmbeddingBag)
    layers = [module for module in modules_in(model) if isinstance(module, kinds)]
    counts = [whole_number(getattr(module, "num_embeddings", None), least=1) for module in layers]
    return min((count for count in counts if count is not None), default=None)


def whole_number(value: object, *, least: int = 0) -> int | None:
    """What a layer or a configuration says of a size, as a number; ``None`` where it is no such number."""
    if not isinstance(value, numbers.Integral):  # NumPy's integers are some as well
        return None
    number = int(value)
    return number if least <= number < 2**63 else None
