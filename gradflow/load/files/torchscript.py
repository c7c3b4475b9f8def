"""TorchScript archives: loaded and run, but not looked into."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path

import torch

from gradflow.errors import LoadError, UntrustedFileError
from gradflow.load.source import SourcedModel

__all__ = ["load_torchscript"]

LIMITS = (
    "this is a TorchScript archive: its code runs inside torch's own interpreter, where Python hooks cannot enter",
    "gradflow can say whether a gradient arrives at a parameter, but not at which line inside the model it is lost",
    "to find the line, check the Python model that the archive was made from",
)

_TOUCHES_FILES = re.compile(r"\b(?:from_file|torch\.save|ops\.(?!prim\b|aten\b|quantized\b|torchvision\b)\w+)\b")


def load_torchscript(path: Path, *, trust: bool) -> SourcedModel:
    """The module in a TorchScript archive.

    Raises
    ------
    UntrustedFileError
        When its code could write files or call operators from outside torch, and ``trust`` is not set.
    LoadError
        When torch cannot load it.
    """
    try:
        suspicious = "" if trust else _suspicious_call(path)
    except Exception as error:
        raise _damaged(path, error) from error
    if suspicious:
        raise UntrustedFileError(
            f"`{path}` is a TorchScript archive whose code calls `{suspicious}`",
            note="that can reach files or code outside of the archive; nothing was run",
            hint="if you know where the file comes from, pass `--trust`",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:
        raise _damaged(path, error) from error
    return SourcedModel(
        model=model,
        name=path.name,
        assumptions=(f"mode: {'train' if model.training else 'eval'}, as it was saved",),
        limits=LIMITS,
        can_enter=False,
    )


def _suspicious_call(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if "/code/" in name and name.endswith(".py"):
                found = _TOUCHES_FILES.search(archive.read(name).decode("utf-8", errors="replace"))
                if found:
                    return found.group()
    return ""


def _damaged(path: Path, error: Exception) -> LoadError:
    return LoadError(
        f"`{path}` is a TorchScript archive that torch cannot load",
        note=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}",
        hint="write or download it again",
    )
