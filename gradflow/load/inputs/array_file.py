"""Arrays of numbers in ``.npy`` files, whose header is held against the file before anything is allocated for it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy
import torch
from numpy.lib import format as npy

from gradflow.errors import LoadError
from gradflow.load.inputs.random_input import GIVEN_BYTES

__all__ = ["as_tensor", "read_array"]

_READERS: dict[tuple[int, int], tuple[int, Callable[..., tuple[tuple[int, ...], bool, numpy.dtype[Any]]]]] = {
    (1, 0): (2, npy.read_array_header_1_0),
    (2, 0): (4, npy.read_array_header_2_0),
}
"""By version of the format: how many bytes the header's length takes, and what reads the header."""

_MOST_HEADER_BYTES = 10_000
_NUMBERS = "biufc"


def read_array(path: Path) -> torch.Tensor:
    """The array as a tensor of the same dtype and shape.

    Raises
    ------
    LoadError
        When the file is no array of numbers, shorter than it says, or has more than 4 GiB of them.
    """
    if path.stat().st_size > GIVEN_BYTES + _MOST_HEADER_BYTES:  # one with holes takes no room on the disk
        raise LoadError(
            f"`{path}` has {path.stat().st_size / 2**30:,.2f} GiB",
            note=f"gradflow takes no input of more than {GIVEN_BYTES / 2**30:,.2f} GiB",
            hint="save a part of it: a few samples do",
        )
    try:
        with path.open("rb") as file:
            _require_sound(file)
            array = npy.read_array(file, allow_pickle=False)
        return as_tensor(array)
    except MemoryError as error:
        raise LoadError(
            f"`{path}` does not fit into memory", hint="save a part of it: a few samples are enough"
        ) from error
    except Exception as error:  # damaged headers raise nearly anything
        raise LoadError(
            f"`{path}` is not an array of numbers",
            note=f"{'' if isinstance(error, ValueError) else f'{type(error).__name__}: '}"
            f"{str(error).strip().partition(chr(10))[0]}",
            hint="write it with `numpy.save(FILE, array)`",
        ) from error


def as_tensor(array: numpy.ndarray[Any, Any] | numpy.generic) -> torch.Tensor:
    """The array, or the single number, as a tensor of the same dtype and shape.

    Raises
    ------
    ValueError
        When its entries are no numbers.
    """
    _require_numbers(array.dtype)
    # torch knows no other order of bytes
    native = numpy.asarray(array).astype(array.dtype.newbyteorder("="), copy=False)
    return torch.from_numpy(numpy.ascontiguousarray(native).reshape(array.shape))


def _require_numbers(dtype: numpy.dtype[Any]) -> None:
    if dtype.kind not in _NUMBERS:
        raise ValueError(f"it holds entries of the type `{dtype}`")


def _require_sound(file: IO[bytes]) -> None:
    """Raise ``ValueError`` unless the file holds what its header declares; afterwards it stands at the beginning."""
    version = npy.read_magic(file)
    if version not in _READERS:
        raise ValueError(f"version {version[0]}.{version[1]} of the format is not one for arrays of numbers")
    width, read_header = _READERS[version]
    start = file.tell()
    if int.from_bytes(file.read(width), "little") > _MOST_HEADER_BYTES:
        raise ValueError(f"its header has more than {_MOST_HEADER_BYTES:,} bytes")
    file.seek(start)
    shape, _, dtype = read_header(file)
    _require_numbers(dtype)
    if any(size < 0 for size in shape):
        raise ValueError(f"its shape is {shape}")
    declared, there = math.prod(shape) * dtype.itemsize, os.fstat(file.fileno()).st_size - file.tell()
    if declared > there:
        raise ValueError(f"its header declares {declared:,} bytes of numbers, and the file has {there:,}")
    file.seek(0)
