"""Files of torch.save before 1.6: pickles one after another, and the storages behind them."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import torch

from gradflow.load.files.limits import MOST_PICKLE_BYTES
from gradflow.load.files.pickles.draft import DamagedError, MissingPackageError, RefusedError
from gradflow.load.files.pickles.reading import read_pickle
from gradflow.load.files.pickles.storages import buffer_of

__all__ = ["is_legacy", "read_legacy"]

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_COUNT_BYTES = 8


def is_legacy(path: Path) -> bool:
    """Whether the file begins as torch.save began its files then."""
    with path.open("rb") as file:
        try:
            return _is_number(_next_pickle(file, path.stat().st_size), _MAGIC)
        except (DamagedError, RefusedError, MissingPackageError):
            return False


def read_legacy(path: Path) -> Any:
    """What the file holds.

    Raises
    ------
    RefusedError
        When it asks for what is on no list; also for a whole model, whose classes such a file refers to as storages.
    DamagedError
        When it is not as torch wrote it, or a limit is passed.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if not all(_is_number(_next_pickle(file, size), number) for number in (_MAGIC, _PROTOCOL)):
            raise DamagedError("it does not begin as torch began its files")
        system = _next_pickle(file, size)
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise DamagedError("it was written on a machine of another byte order")
        storages = _Storages(size)
        value = read_pickle(_Limited(file), MOST_PICKLE_BYTES, storages=storages, file_size=size, has_data=False)
        keys = _next_pickle(file, size)
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise DamagedError("it does not say which storages follow")
        storages.fill(keys, file)
    return value


def _is_number(value: Any, number: int) -> bool:
    return type(value) is int and value == number


def _next_pickle(file: IO[bytes], size: int) -> Any:
    return read_pickle(_Limited(file), MOST_PICKLE_BYTES, storages=None, file_size=size)


class _Storages:
    """Memory for the storages that are referred to, filled once the pickle is over."""

    def __init__(self, file_size: int) -> None:
        self._left = file_size
        self._memory: dict[str, torch.Tensor] = {}

    def memory(self, key: str, size: int) -> torch.UntypedStorage:
        """New memory under this key, or what is there already.

        Raises
        ------
        DamagedError
            When the storages together are larger than the file.
        """
        if key not in self._memory:
            self._left -= size
            if self._left < 0:
                raise DamagedError("its tensors are larger than the file")
            self._memory[key] = torch.empty(size, dtype=torch.uint8, device="cpu")
        if self._memory[key].nbytes != size:
            raise DamagedError("a storage is referred to with two sizes")
        return self._memory[key].untyped_storage()

    def fill(self, keys: list[str], file: IO[bytes]) -> None:
        """Read the storages, each once, in this order."""
        if sorted(keys) != sorted(self._memory):
            raise DamagedError("the storages that follow are not those that are referred to")
        for key in keys:
            memory = self._memory[key]
            count = int.from_bytes(file.read(_COUNT_BYTES), "little")
            if memory.nbytes and (count == 0 or memory.nbytes % count):
                raise DamagedError("a storage has another size than the pickle says")
            view, done = buffer_of(memory), 0
            while done < memory.nbytes:
                read = file.readinto(view[done:])  # type: ignore[attr-defined]
                if not read:
                    raise DamagedError("it ends within a storage")
                done += read


class _Limited:
    """A stream that gives no more than a pickle may have."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._left = file, MOST_PICKLE_BYTES

    def read(self, count: int = -1) -> bytes:
        return self._taken(self._file.read(min(count, self._left + 1) if count >= 0 else self._left + 1))

    def readline(self, count: int = -1) -> bytes:
        return self._taken(self._file.readline(min(count, self._left + 1) if count >= 0 else self._left + 1))

    def _taken(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise DamagedError("its pickle is larger than any that torch writes")
        return data
