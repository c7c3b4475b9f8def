"""The inputs that a program was exported with: a pickle within the archive."""

from __future__ import annotations

import io
from typing import Any

import torch

from gradflow.load.files.archive import Archive
from gradflow.load.files.exported_program.offence import Misshapen, RunsCode, shown
from gradflow.load.files.pickles.draft import DamagedError, MissingPackageError, RefusedError
from gradflow.load.files.pickles.reading import read_archived

__all__ = ["checked_inputs"]

_PLAIN = (type(None), bool, int, float, complex, str, torch.dtype, torch.device)
_SEQUENCES = (list, tuple, torch.Size)


def checked_inputs(archive: Archive, name: str) -> tuple[bytes, str]:
    """The same inputs, saved anew by torch from what gradflow has read, and a word on what is left out, if anything.

    Raises
    ------
    RunsCode
        When the pickle uses anything that is not on gradflow's lists.
    Misshapen, LoadError
        When it is damaged.
    """
    data = archive.read(name, archive.size(name))
    if not data:
        return b"", ""
    if not data.startswith(b"PK"):
        raise RunsCode("example inputs in the old format of torch.save")
    try:
        inputs = read_archived(Archive.from_bytes(data, f"`{name}` in {archive.described}"))
    except RefusedError as error:
        raise RunsCode(f"example inputs that use {shown(error.name)}") from error
    except DamagedError as error:
        raise Misshapen(f"example inputs that cannot be read ({error})") from error
    except MissingPackageError as error:
        return b"", f"example inputs of the file: left out, because they need {error}"
    if not _is_call(inputs) or not _is_plain(inputs):
        return b"", "example inputs of the file: left out, because they are more than tensors, numbers and containers"
    file = io.BytesIO()
    torch.save(inputs, file)
    return file.getvalue(), ""


def _is_call(inputs: Any) -> bool:
    """Whether it is ``(arguments, keywords)``, as ``torch.export`` has it."""
    match inputs:
        case (tuple() | list(), dict() as keywords):
            return all(isinstance(key, str) for key in keywords)
    return False


def _is_plain(inputs: Any) -> bool:
    """Whether torch can save it without a class of anybody else; the reader has bounded its depth and size."""
    pending = [inputs]
    while pending:
        value = pending.pop()
        if type(value) in _SEQUENCES:
            pending.extend(value)
        elif type(value) is dict:
            pending.extend(value)
            pending.extend(value.values())
        elif type(value) is torch.Tensor:
            if value.layout != torch.strided or value._backward_hooks or vars(value):
                return False
        elif type(value) not in _PLAIN:
            return False
    return True
