"""Weights in a safetensors file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gradflow.errors import LoadError
from gradflow.load.files.state_dict import load_weights
from gradflow.load.source import SourcedModel

__all__ = ["load_safetensors"]


def load_safetensors(path: Path, *, build_arch: Callable[[], SourcedModel] | None) -> SourcedModel:
    """The model that ``build_arch`` makes, with the file's weights in it.

    Raises
    ------
    LoadError
        When the file is damaged, no model is named for it, or the weights do not fit.
    """
    import safetensors.torch

    try:
        weights = safetensors.torch.load_file(path)
    except Exception as error:
        raise LoadError(
            f"`{path}` is truncated or damaged", note=f"{type(error).__name__}: {error}", hint="download it again"
        ) from error
    if build_arch is None:
        raise LoadError(
            f"`{path}` holds only weights ({len(weights)} tensors), not the model they belong to",
            note="a safetensors file never holds a model",
            hint="name the model with `--arch`, for example `--arch resnet50` or `--arch train.py:build`",
        )
    return load_weights(build_arch(), weights, path)
