"""The tensors of a TorchScript archive: whether its records are as large as its pickles say.

Torch maps the records and reads as far as the tensors reach, past their end where a record is short.
"""

from __future__ import annotations

from gradflow.load.files.archive import Archive
from gradflow.load.files.pickles.draft import Draft, Name
from gradflow.load.files.pickles.machine import Machine
from gradflow.load.files.pickles.storages import RecordedStorages, referred_storage, storage_names
from gradflow.load.files.pickles.tensors import TensorMaker

__all__ = ["check_script_tensors"]


def check_script_tensors(archive: Archive) -> None:
    """Go through the pickles of an archive without making anything of them but tensors without data.

    Raises
    ------
    RefusedError, DamagedError, LoadError
        When a tensor does not fit its record, or a pickle is none that torch writes.
    """
    for kind in ("data", "constants"):
        if f"{kind}.pkl" in archive:
            _check_pickle(archive, kind)


def _check_pickle(archive: Archive, kind: str) -> None:
    pickled = archive.read(f"{kind}.pkl")
    storages = RecordedStorages(archive, kind, without_data=True)
    known: dict[tuple[str, str], Draft] = {**TensorMaker(archive.file_size).names(), **storage_names()}
    known["collections", "OrderedDict"] = Name("collections.OrderedDict", call=lambda _: {})
    Machine(
        name=lambda module, name: known.get((module, name)) or _anything(module, name),
        load_persistent=lambda identity: referred_storage(identity, storages),
        build=lambda _target, _state: None,
        size=len(pickled),
    ).run(pickled)


def _anything(module: str, name: str) -> Name:
    """A class or function of the archive itself, which is not looked at: the pickle only has to be read past it."""
    return Name(f"{module}.{name}", call=lambda _: _StandIn(), make=lambda _: _StandIn(), value=None)


class _StandIn:
    """An object of the archive, of which nothing is kept."""
