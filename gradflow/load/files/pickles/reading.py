"""From a pickle to what it holds, with everything checked that it asks for."""

from __future__ import annotations

import io
import pickletools
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import torch

from gradflow.load.files.archive import Archive
from gradflow.load.files.limits import MOST_PICKLE_BYTES
from gradflow.load.files.pickles.arrays import array_names
from gradflow.load.files.pickles.draft import DamagedError, Draft, MissingPackageError, Name, RefusedError
from gradflow.load.files.pickles.instances import check_attributes
from gradflow.load.files.pickles.listed import helper_classes, is_held_class, listed_names
from gradflow.load.files.pickles.machine import Machine, PickleStream, name_of_today
from gradflow.load.files.pickles.module_classes import module_class
from gradflow.load.files.pickles.modules import ModuleMaker, check_modules
from gradflow.load.files.pickles.plain import HOLDERS, plain_names
from gradflow.load.files.pickles.shape import check_shape
from gradflow.load.files.pickles.storages import (
    RecordedStorages,
    StorageSource,
    referred_storage,
    storage_names,
)
from gradflow.load.files.pickles.tensors import TensorMaker

__all__ = ["names_in", "read_archived", "read_pickle", "unknown_names"]


def read_archived(archive: Archive) -> Any:
    """What torch.save has written into an archive.

    Raises
    ------
    RefusedError
        When the file asks for what is on no list.
    DamagedError, LoadError
        When it is not as torch writes it, or a limit is passed.
    MissingPackageError
        When it needs a library that is not installed.
    """
    for name in archive.names:
        if archive.is_compressed(name):
            raise DamagedError(f"`{name}` is compressed, which torch never does: another program has packed it again")
    if "byteorder" in archive and archive.read("byteorder", 16) != b"little":
        raise DamagedError("it was written on a machine of another byte order")
    pickled = archive.read("data.pkl", MOST_PICKLE_BYTES)
    storages = RecordedStorages(archive)
    return read_pickle(io.BytesIO(pickled), len(pickled), storages=storages, file_size=archive.file_size)


def read_pickle(
    stream: PickleStream, size: int, *, storages: StorageSource | None, file_size: int, has_data: bool = True
) -> Any:
    """The value of one pickle of at most ``size`` bytes, in a file of ``file_size`` bytes.

    ``has_data`` is ``False`` where the numbers of tensors are read only after the pickle.

    Raises
    ------
    RefusedError, DamagedError, LoadError, MissingPackageError
        As :func:`read_archived`.
    """
    reader = _Reader(size, storages, file_size, has_data=has_data)
    value = reader.machine.run(stream)
    reader.check(value)
    return value


def names_in(pickled: bytes) -> list[str]:
    """The names that a pickle takes from modules, as far as it can be read; for messages."""
    names: dict[str, None] = {}
    pushed: list[Any] = []  # the last values that are text
    memo: list[Any] = []
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name == "GLOBAL":
                module, _, name = str(argument).partition(" ")
                names[".".join(name_of_today(module, name))] = None
            elif opcode.name == "STACK_GLOBAL":
                names[".".join(map(str, pushed[-2:]))] = None
            elif opcode.name == "MEMOIZE":
                memo.append(pushed[-1] if pushed else None)
                continue
            is_from_memo = opcode.name in ("BINGET", "LONG_BINGET")
            pushed = [*pushed[-1:], memo[int(argument or 0)] if is_from_memo and memo else argument]
    except Exception:  # noqa: BLE001 - the pickle has been refused already; this only makes the message fuller
        return list(names)
    return list(names)


def unknown_names(names: Iterable[str]) -> set[str]:
    """Those of ``module.name`` that are on no list."""
    reader = _Reader(0, None, 0)
    unknown = set()
    for described in names:
        module, _, name = described.rpartition(".")
        try:
            reader.name(module, name)
        except (RefusedError, MissingPackageError):
            unknown.add(described)
    return unknown


class _Reader:
    """The lists, the machine that asks them, and what it has made."""

    def __init__(self, size: int, storages: StorageSource | None, file_size: int, *, has_data: bool = True) -> None:
        self._storages = storages
        self._modules = ModuleMaker()
        self._made: dict[int, Any] = {}
        self._held: list[Any] = []
        self.machine = Machine(
            name=self.name, load_persistent=self._load_persistent, build=self._build, size=min(size, file_size)
        )
        self._listed: dict[tuple[str, str], Draft] = {
            **plain_names(self.machine.key),
            **array_names(),
            **TensorMaker(file_size, has_data=has_data).names(),
            **storage_names(),
        }

    def name(self, module: str, name: str) -> Draft:
        """What a name stands for."""
        found = self._listed.get((module, name))
        if found is None:
            found = self._listed[module, name] = self._found(module, name)
        return found

    def check(self, value: Any) -> None:
        """Look over what was made, before anybody else does."""
        try:
            check_modules(self._modules.made)
        except (TypeError, ValueError, AttributeError, RuntimeError) as error:  # sizes that are none
            raise DamagedError(f"a module of it cannot be: {error}") from error
        check_shape([value, *map(vars, self._modules.made), *map(vars, self._held)])

    def _found(self, module: str, name: str) -> Draft:
        listed = listed_names(module, name)
        if listed is not None:
            return listed
        helper = helper_classes(module, name)
        if helper is not None:
            return self._helper(helper)
        return self._modules.name(module_class(module, name), value=is_held_class(module, name))

    def _helper(self, cls: type) -> Name:
        described = f"{cls.__module__}.{cls.__qualname__}"

        def make(arguments: tuple[Any, ...]) -> Any:
            if arguments or "__setstate__" in dir(cls):
                raise RefusedError(described, "is made with arguments by the file")
            made: Any = object.__new__(cls)
            self._made[id(made)] = made
            return made

        return Name(described, make=make)

    def _load_persistent(self, persistent_id: Any) -> Any:
        if self._storages is None:
            raise RefusedError("a persistent id", "refers to something outside of the pickle")
        return referred_storage(persistent_id, self._storages)

    def _build(self, target: Any, state: Any) -> None:
        if isinstance(target, torch.nn.Module):
            self._modules.build(target, state)
        elif type(target) in HOLDERS or id(target) in self._made:
            if isinstance(state, OrderedDict):
                state = dict(state)
            check_attributes(type(target), state)
            vars(target).update(state)
            self._held.append(target)
        else:
            raise RefusedError(f"{type(target).__module__}.{type(target).__qualname__}", "is given a state by the file")
