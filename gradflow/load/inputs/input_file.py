"""Inputs from files: tensors of ``torch.save`` and safetensors, arrays of NumPy."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy
import torch

from gradflow.errors import LoadError, UntrustedFileError
from gradflow.load.files.kind import existing_file, model_file_kind, names_in_zip
from gradflow.load.files.legacy import is_legacy
from gradflow.load.files.safetensors_file import read_safetensors
from gradflow.load.files.saved_file import load_tensors
from gradflow.load.inputs.array_file import as_tensor, read_array
from gradflow.values import mapped

__all__ = ["read_input"]

_ARRAY_START = b"\x93NUMPY"
_ZIP_START = b"PK"
_A_FUNCTION = "name a function that makes the input: `--input file.py:function`"
_HOW_TO_SAVE = f"save a tensor, or a tuple or dictionary of tensors, with `torch.save(inputs, FILE)`; or {_A_FUNCTION}"


def read_input(name: str, weights: Collection[str]) -> Any:
    """What a file holds, with arrays as tensors.

    Parameters
    ----------
    name
        The file, as the user has written it.
    weights
        The names of the model's parameters and buffers: a file that holds these holds no input.

    Raises
    ------
    LoadError
        When it holds nothing that can be an input, saying what it is instead.
    UntrustedFileError
        When something in it could only be made by running code.
    """
    path = existing_file(name, "an input")
    if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp", ".bmp"):
        raise LoadError(f"`{name}` is a picture", hint=f"pass it with `--image {name}`")
    if path.suffix == ".npy" or _begins_with(path, _ARRAY_START):
        return read_array(path)
    value = read_safetensors(path) if path.suffix == ".safetensors" else _saved(path, name)
    if isinstance(value, torch.nn.Module):
        raise _holds_a_model(name)
    if _is_state_dict(value, weights):
        raise LoadError(
            f"`{name}` holds a state dict, not an input",
            hint=f"weights are the first argument: `gradflow check {name} --arch MODEL`; where the model does take a "
            f"state dict, {_A_FUNCTION}",
        )
    try:
        return _with_tensors(value)
    except ValueError as error:
        raise LoadError(
            f"`{name}` holds an array that is none of numbers", note=str(error), hint=_HOW_TO_SAVE
        ) from error


def _saved(path: Path, name: str) -> Any:
    arrays = _arrays_inside(path)
    if arrays:
        several = f"of {len(arrays)} arrays" if len(arrays) > 1 else "of one array"
        raise LoadError(
            f"`{name}` is a NumPy archive {several}",
            hint=f"save the one array with `numpy.save(FILE.npy, array)`; or {_A_FUNCTION}",
        )
    if _begins_with(path, _ZIP_START):
        if model_file_kind(path) != "torch.save":  # which also says what other archives are, and which are truncated
            raise _holds_a_model(name)
    elif not _is_legacy(path):
        raise LoadError(
            f"`{name}` is not a file that gradflow reads as an input",
            note="it reads files of `torch.save`, `.npy` and `.safetensors`",
            hint=_HOW_TO_SAVE,
        )
    try:
        return load_tensors(path)
    except UntrustedFileError as error:  # its own advice is about models
        raise UntrustedFileError(error.message, note=error.note, hint=_HOW_TO_SAVE) from error


def _begins_with(path: Path, start: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(start)) == start


def _arrays_inside(path: Path) -> list[str]:
    """The names in an archive of ``numpy.savez``; none where it is another one, or damaged: its reader says so."""
    if not _begins_with(path, _ZIP_START):
        return []
    try:
        names = names_in_zip(path)
    except LoadError:
        return []
    return names if all(name.endswith(".npy") for name in names) else []


def _holds_a_model(name: str) -> LoadError:
    return LoadError(f"`{name}` holds a model, not an input", hint="the model is the first argument")


def _is_legacy(path: Path) -> bool:
    try:
        return is_legacy(path)
    except OSError:  # it begins as one, and its reader says what is wrong
        return True


def _is_state_dict(value: object, weights: Collection[str]) -> bool:
    """Whether a mapping came from ``Module.state_dict``, which marks it, or names nothing but the model's weights."""
    if not isinstance(value, Mapping) or not value:
        return False
    return hasattr(value, "_metadata") or all(name in weights for name in value)


def _with_tensors(value: Any) -> Any:
    """The same with tensors in the place of arrays."""
    return mapped(value, lambda part: as_tensor(part) if isinstance(part, (numpy.ndarray, numpy.generic)) else part)
