"""Storages that a pickle refers to: memory of the file's own size, filled from its checked record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from gradflow.load.files.archive import Archive
from gradflow.load.files.pickles.draft import DamagedError, Name, RefusedError

__all__ = [
    "RecordedStorages",
    "StorageReference",
    "StorageSource",
    "buffer_of",
    "referred_storage",
    "storage_names",
]


@dataclass(frozen=True, slots=True)
class StorageReference:
    """Memory, and the dtype of the storage class that refers to it."""

    memory: torch.UntypedStorage
    dtype: torch.dtype


class StorageSource(Protocol):
    """Where the memory of a storage comes from."""

    def memory(self, key: str, size: int) -> torch.UntypedStorage:
        """Memory of at least ``size`` bytes under this key, the same at each call."""


def storage_names() -> dict[tuple[str, str], Name]:
    """The storage classes that a pickle may name, each with its dtype."""
    names: dict[tuple[str, str], Name] = {}
    for cls in torch._storage_classes:
        if cls in (torch.storage.TypedStorage, torch.storage.UntypedStorage):
            dtype = torch.uint8
        else:
            dtype = torch.serialization.StorageType(cls.__name__).dtype  # type: ignore[no-untyped-call]
        described = f"{cls.__module__}.{cls.__name__}"
        names[cls.__module__, cls.__name__] = _StorageName(described, dtype)
    return names


class _StorageName(Name):
    """A storage class; it stands in persistent ids and nowhere else."""

    def __init__(self, described: str, dtype: torch.dtype) -> None:
        super().__init__(described)
        self.dtype = dtype


def referred_storage(persistent_id: Any, source: StorageSource) -> StorageReference:
    """What ``("storage", class, key, location, count)`` refers to, on the CPU whatever its location was.

    Raises
    ------
    RefusedError
        When the id is of another kind.
    DamagedError
        When it has not that form, or does not fit the file.
    """
    kind = persistent_id[0] if isinstance(persistent_id, tuple) and persistent_id else None
    if kind in ("module", b"module"):
        raise RefusedError("a whole model", "in the format of torch before 1.6 can only be unpickled")
    if kind not in ("storage", b"storage"):
        raise RefusedError("a persistent id", "refers to something that is no storage")
    cls = persistent_id[1] if len(persistent_id) > 1 else None
    if not isinstance(cls, _StorageName) or len(persistent_id) not in (5, 6):
        raise DamagedError("a storage is referred to in a form that torch does not write")
    key, count = persistent_id[2], persistent_id[4]
    if len(persistent_id) == 6 and persistent_id[5] is not None:  # a view of another storage, before torch 0.4
        raise RefusedError("a storage", "is a view of another one")
    if type(key) is not str or type(count) is not int or count < 0:
        raise DamagedError("a storage is referred to in a form that torch does not write")
    return StorageReference(source.memory(key, count * cls.dtype.itemsize), cls.dtype)


class RecordedStorages:
    """Those of an archive, each read once from its record.

    Parameters
    ----------
    archive, folder
        The record of a storage is ``FOLDER/KEY``.
    without_data
        Whether the memory is only as large as the record, and holds nothing (torch's meta device).
    """

    def __init__(self, archive: Archive, folder: str = "data", *, without_data: bool = False) -> None:
        self._archive, self._folder, self._without_data = archive, folder, without_data
        self._read: dict[str, torch.UntypedStorage] = {}

    def memory(self, key: str, size: int) -> torch.UntypedStorage:
        """The record of that key, when it is as large as the pickle says.

        Raises
        ------
        DamagedError
            When it is not.
        LoadError
            When the record is damaged.
        """
        name = f"{self._folder}/{key}"
        if name not in self._archive:
            raise DamagedError(f"the record `{name}` of a tensor is missing")
        found = self._archive.size(name)
        if found != size:
            raise DamagedError(f"the record `{name}` has {found:,} bytes, and its tensor {size:,}")
        if key not in self._read:
            self._read[key] = self._memory(name, size)
        return self._read[key]

    def _memory(self, name: str, size: int) -> torch.UntypedStorage:
        if self._without_data:
            return torch.UntypedStorage(size, device="meta")  # type: ignore[no-untyped-call]
        memory = torch.empty(size, dtype=torch.uint8, device="cpu")
        if size:
            self._archive.fill(name, buffer_of(memory))
        return memory.untyped_storage()


def buffer_of(memory: torch.Tensor) -> memoryview:
    """The bytes of a tensor of bytes, to be written to."""
    return memory.numpy().data
