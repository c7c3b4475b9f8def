"""TorchScript archives: loaded and run, but not looked into."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from gradflow.errors import LoadError, UntrustedFileError
from gradflow.load.files.archive import Archive, ArchiveWriter, open_archive
from gradflow.load.files.pickles.draft import DamagedError, RefusedError
from gradflow.load.files.private_copy import private_copy
from gradflow.load.files.script_tensors import check_script_tensors
from gradflow.load.source import SourcedModel

__all__ = ["load_torchscript"]

LIMITS = (
    "this is a TorchScript archive: its code runs inside torch's own interpreter, where Python hooks cannot enter",
    "gradflow can say whether a gradient arrives at a parameter, but not at which line inside the model it is lost",
    "to find the line, check the Python model that the archive was made from",
)


def load_torchscript(path: Path, *, trust: bool) -> SourcedModel:
    """The module in a TorchScript archive; torch gets a fresh copy of it, made of its checked records.

    Raises
    ------
    UntrustedFileError
        When ``trust`` is not set: such an archive is a program, and loading and running it executes what it says.
    LoadError
        When the archive is damaged, there is no room for a copy of it, or torch cannot load it.
    """
    with open_archive(path) as archive:
        if not trust:
            raise UntrustedFileError(
                f"`{path}` is a TorchScript archive, and that is a program of its own",
                note="its code can read and write files when it is run; nothing was run",
                hint="if you know where the file comes from, pass `--trust`; safer: check the Python model that it was "
                "made from",
            )
        try:
            check_script_tensors(archive)
        except (RefusedError, DamagedError) as error:
            raise _damaged(path, error) from error
        with private_copy(archive, "model.pt", archive.root, lambda writer: _copy_all(archive, writer)) as copy:
            model = _loaded(copy, path)
    return SourcedModel(
        model=model,
        name=path.name,
        # a frozen archive has no mode any more: it is what it was in eval mode
        assumptions=(f"mode: {'train' if getattr(model, 'training', False) else 'eval'}, as it was saved",),
        limits=LIMITS,
        can_enter=False,
    )


def _copy_all(archive: Archive, writer: ArchiveWriter) -> None:
    for name in archive.names:
        writer.copy(name, archive)


def _loaded(copy: Path, path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.jit.load(str(copy), map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> LoadError:
    return LoadError(
        f"`{path}` is a TorchScript archive that torch cannot load",
        note=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}",
        hint="write or download it again",
    )
