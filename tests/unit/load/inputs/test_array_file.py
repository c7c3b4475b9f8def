"""Arrays in .npy files: a header is held against the file before anything is allocated for it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from gradflow.errors import LoadError
from gradflow.load.inputs.array_file import read_array


def written(path: Path, header: str, body: bytes = b"", version: tuple[int, int] = (1, 0)) -> Path:
    data = header.encode()
    length = struct.pack("<H" if version == (1, 0) else "<I", len(data))
    path.write_bytes(b"\x93NUMPY" + bytes(version) + length + data + body)
    return path


def described(descr: object, shape: object) -> str:
    return f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}\n"


@pytest.mark.parametrize(
    "array",
    [
        numpy.arange(6, dtype=numpy.float32).reshape(2, 3),
        numpy.asfortranarray(numpy.arange(6, dtype=numpy.float64).reshape(2, 3)),
        numpy.arange(6, dtype=">f4").reshape(2, 3),
        numpy.arange(6, dtype=numpy.int64),
        numpy.array([True, False]),
        numpy.array([1 + 2j]),
        numpy.float32(3),
        numpy.zeros((0, 5), dtype=numpy.float32),
    ],
    ids=lambda array: f"{array.dtype.str}{list(array.shape)}",
)
def test_an_array_comes_as_it_was_saved(tmp_path: Path, array: Any) -> None:
    numpy.save(tmp_path / "x.npy", array)
    tensor = read_array(tmp_path / "x.npy")
    native = numpy.asarray(array).astype(array.dtype.newbyteorder("="))
    assert torch.equal(tensor, torch.from_numpy(native.copy()))


@pytest.mark.parametrize(
    ("descr", "shape", "said"),
    [
        ("<f4", (10**15,), "4,000,000,000,000,000 bytes"),
        ("<f4", (10**30,), "bytes of numbers"),
        ("<f4", (4,), "16 bytes"),
        ("<f4", (-5,), "its shape is"),
        ("|O", (2,), "entries of the type"),
        ("|V0", (10**12,), "entries of the type"),
        ("<U3", (1,), "entries of the type"),
        ("<M8[s]", (1,), "entries of the type"),
        ([("a", "<f4")], (1,), "entries of the type"),
        ("nonsense", (1,), ""),
        ("<f4", "two", ""),
    ],
)
def test_a_header_that_does_not_fit_is_one_error(tmp_path: Path, descr: object, shape: object, said: str) -> None:
    with pytest.raises(LoadError, match="is not an array of numbers") as caught:
        read_array(written(tmp_path / "x.npy", described(descr, shape), b"12345678"))
    assert said in caught.value.note
    assert "MemoryError" not in caught.value.note


def test_a_long_header_is_not_read(tmp_path: Path) -> None:
    long = written(tmp_path / "x.npy", " " * 10_000_000, version=(2, 0))
    with pytest.raises(LoadError, match="is not an array of numbers") as caught:
        read_array(long)
    assert "more than 10,000 bytes" in caught.value.note
    (tmp_path / "y.npy").write_bytes(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}")
    with pytest.raises(LoadError, match="is not an array of numbers"):
        read_array(tmp_path / "y.npy")


@pytest.mark.parametrize("content", [b"\x80\x04].", b"PK\x03\x04", b"\x93NUMPY\x09\x09\x00", b"\x93NUM"])
def test_what_is_no_array_is_one_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(LoadError, match="is not an array of numbers"):
        read_array(tmp_path / "x.npy")


def test_a_file_with_holes_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path / "x.npy", described("<f4", (10**10,)))
    with path.open("r+b") as file:
        file.truncate(4 * 10**10 + 1000)  # takes no room on the disk
    with pytest.raises(LoadError, match="GiB") as caught:
        read_array(path)
    assert "4.00 GiB" in caught.value.note
