"""Weights in a safetensors file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from gradflow.errors import LoadError
from gradflow.load.files.state_dict import load_weights
from gradflow.load.source import SourcedModel

__all__ = ["load_safetensors", "read_safetensors"]

_LENGTH_BYTES = 8
_MOST_HEADER_BYTES = 32 * 2**20
"""Of the list of tensors; one takes about a hundred bytes."""


def load_safetensors(path: Path, *, build_arch: Callable[[], SourcedModel] | None) -> SourcedModel:
    """The model that ``build_arch`` makes, with the file's weights in it.

    Raises
    ------
    LoadError
        When the file is damaged, no model is named for it, or the weights do not fit.
    """
    weights = read_safetensors(path)
    if build_arch is None:
        raise LoadError(
            f"`{path}` holds only weights ({len(weights)} tensors), not the model they belong to",
            note="a safetensors file never holds a model",
            hint="name the model with `--arch`, for example `--arch resnet50` or `--arch train.py:build`",
        )
    return load_weights(build_arch(), weights, path)


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file, by name.

    Raises
    ------
    LoadError
        When it is damaged, or its list of tensors is longer than 32 MiB.
    """
    import safetensors.torch

    try:
        _require_short_header(path)
        return safetensors.torch.load_file(path)
    except Exception as error:
        raise LoadError(
            f"`{path}` is truncated or damaged", note=f"{type(error).__name__}: {error}", hint="download it again"
        ) from error


def _require_short_header(path: Path) -> None:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    rest = path.stat().st_size - _LENGTH_BYTES
    if length > rest:
        raise ValueError(f"its list of tensors should have {length:,} bytes, and the file has {max(rest, 0):,}")
    if length > _MOST_HEADER_BYTES:
        raise ValueError(f"its list of tensors has {length:,} bytes, more than {_MOST_HEADER_BYTES:,}")
