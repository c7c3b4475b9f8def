"""NumPy's arrays, numbers and dtypes, as checkpoints hold them beside the weights."""

from __future__ import annotations

import re
from typing import Any

import numpy

from gradflow.load.files.pickles.draft import DamagedError, Draft, Name, RefusedError, settled

__all__ = ["array_names"]

_CODE = re.compile(r"[<>|=]?(?:[biufc](?:1|2|4|8|16)|[SU]\d{1,4}|[?])")
_MOST_ENTRIES = 2**40
_MOST_AXES = 32


def array_names() -> dict[tuple[str, str], Draft]:
    """What a pickle may name of NumPy."""
    names: dict[tuple[str, str], Draft] = {
        ("numpy", "dtype"): Name("numpy.dtype", call=_DtypeDraft),
        ("numpy", "ndarray"): Name("numpy.ndarray", value=numpy.ndarray),
    }
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        names[module, "scalar"] = Name(f"{module}.scalar", call=_scalar)
        names[module, "_reconstruct"] = Name(f"{module}._reconstruct", call=_ArrayDraft)
    for module in ("numpy.core.numeric", "numpy._core.numeric"):
        names[module, "_frombuffer"] = Name(f"{module}._frombuffer", call=_from_buffer)
    return names


class _DtypeDraft(Draft):
    """``numpy.dtype(code, align, copy)``, whose state may turn its byte order."""

    described = "numpy.dtype"

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        arguments = settled(arguments)
        code = arguments[0] if arguments else None
        if type(code) is not str or not _CODE.fullmatch(code):
            raise RefusedError("numpy.dtype", "is of a kind that a checkpoint does not need")
        try:
            self._dtype = numpy.dtype(code)
        except TypeError as error:
            raise DamagedError(f"there is no dtype `{code}`") from error

    def build(self, state: Any) -> None:
        """``(version, byte order, subarray, names, fields, size, alignment, flags)``."""
        state = settled(state)
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise RefusedError("numpy.dtype", "has fields")
        if state[1] == ">":
            self._dtype = self._dtype.newbyteorder(">")
        elif state[1] not in ("<", "|", "="):
            raise DamagedError("a dtype has no byte order")

    def settle(self) -> numpy.dtype[Any]:
        """The dtype."""
        return self._dtype


class _ArrayDraft(Draft):
    """``_reconstruct(ndarray, (0,), b"b")``, whose state holds everything."""

    described = "numpy.ndarray"

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        arguments = settled(arguments)
        if not arguments or arguments[0] is not numpy.ndarray:
            raise RefusedError("a subclass of numpy.ndarray", "is made by the file")
        self._array: numpy.ndarray[Any, Any] | None = None

    def build(self, state: Any) -> None:
        """``(version, shape, dtype, is in Fortran order, bytes)``."""
        state = settled(state)
        if self._array is not None or not isinstance(state, tuple) or len(state) != 5:
            raise DamagedError("an array has no state that NumPy writes")
        _, shape, dtype, is_fortran, data = state
        self._array = _array(data, dtype, shape, is_fortran=bool(is_fortran))

    def settle(self) -> numpy.ndarray[Any, Any]:
        """The array."""
        if self._array is None:
            raise DamagedError("an array has no state")
        return self._array


def _from_buffer(arguments: tuple[Any, ...]) -> numpy.ndarray[Any, Any]:
    """``(bytes, dtype, shape, order)``, as protocol 5 has it."""
    arguments = settled(arguments)
    if len(arguments) != 4 or arguments[3] not in ("C", "F"):
        raise DamagedError("an array is not written as NumPy writes it")
    data, dtype, shape, order = arguments
    return _array(data, dtype, shape, is_fortran=order == "F")


def _array(data: Any, dtype: Any, shape: Any, *, is_fortran: bool) -> numpy.ndarray[Any, Any]:
    if not isinstance(dtype, numpy.dtype) or not isinstance(data, (bytes, bytearray)) or not isinstance(shape, tuple):
        raise RefusedError("numpy.ndarray", "does not hold plain numbers")
    count = 1
    for length in shape:
        if type(length) is not int or not 0 <= length < _MOST_ENTRIES:
            raise DamagedError("an array has a size that there is not")
        count *= length
    if len(shape) > _MOST_AXES or count * dtype.itemsize != len(data):
        raise DamagedError("an array has not as many bytes as its shape says")
    if not dtype.itemsize and count:
        raise DamagedError("an array of texts without letters, which NumPy does not write")
    flat: numpy.ndarray[Any, Any] = numpy.frombuffer(bytearray(data), dtype=dtype)
    return flat.reshape(shape[::-1]).T if is_fortran else flat.reshape(shape)


def _scalar(arguments: tuple[Any, ...]) -> Any:
    dtype, data = settled(arguments) if len(arguments) == 2 else (None, None)
    if not isinstance(dtype, numpy.dtype) or not isinstance(data, bytes) or len(data) != dtype.itemsize:
        raise DamagedError("a number of NumPy has not as many bytes as its dtype says")
    return numpy.frombuffer(data, dtype=dtype)[0]
