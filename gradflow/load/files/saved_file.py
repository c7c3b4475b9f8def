"""Files of ``torch.save``: a whole model, a state dict, or a training checkpoint that holds one of them.

Without ``--trust`` torch never sees the file: a reader of our own makes only what is on its lists.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gradflow.errors import LoadError, UntrustedFileError, UsageError
from gradflow.load.files.archive import open_archive
from gradflow.load.files.checkpoint import find_weights
from gradflow.load.files.legacy import is_legacy as is_legacy_file
from gradflow.load.files.legacy import read_legacy
from gradflow.load.files.pickles.draft import DamagedError, MissingPackageError, RefusedError
from gradflow.load.files.pickles.reading import names_in, read_archived, unknown_names
from gradflow.load.files.state_dict import load_weights
from gradflow.load.source import SourcedModel
from gradflow.load.user_code import raised_in
from gradflow.torch_facts.modes import is_in_train_mode

__all__ = ["load_saved_file", "load_tensors"]

_SCANNED = 1 << 20
_SHOWN = 4
_WAYS_PAST = (
    "if you know where the file comes from, pass `--trust`; safer: save `model.state_dict()` and name the model with "
    "`--arch train.py:build`"
)


def load_saved_file(
    path: Path, *, is_legacy: bool, trust: bool, build_arch: Callable[[], SourcedModel] | None
) -> SourcedModel:
    """The model in a file of ``torch.save``, or the one that ``build_arch`` makes with the file's weights in it.

    Raises
    ------
    UntrustedFileError
        When the file needs classes or functions beyond the allow-list and ``trust`` is not set.
    LoadError
        When it is damaged, holds no model and no weights, or its weights do not fit.
    UsageError
        When ``build_arch`` is missing and needed, or given and not needed.
    """
    loaded = _load(path, is_legacy=is_legacy, trust=trust)
    if isinstance(loaded, torch.nn.Module):
        model, where = loaded, ""
    else:
        weights = find_weights(loaded, path)
        where = weights.where
        if not isinstance(weights.value, torch.nn.Module):
            if build_arch is None:
                raise LoadError(
                    f"`{path}` holds only weights ({weights.described}), not the model they belong to",
                    hint=f"name the model with `--arch`, for example `--arch {weights.arch or 'train.py:build'}`",
                )
            return load_weights(build_arch(), weights.value, path)
        model = weights.value
    if build_arch is not None:
        raise UsageError(f"`{path}` holds a whole model, so `--arch` has nothing to do", hint="leave `--arch` out")
    mode = "train" if is_in_train_mode(model) else "eval"
    said = f"model: the one under `{where}` in the file" if where else ""
    return SourcedModel(
        model=model,
        name=path.name,
        assumptions=tuple(filter(None, (said, f"mode: {mode}, as it was saved"))),
        is_vouched_for=trust,
    )


def load_tensors(path: Path) -> Any:
    """A file of ``torch.save`` that holds tensors and plain containers, for example inputs.

    Raises
    ------
    UntrustedFileError, LoadError
        As :func:`load_saved_file`.
    """
    return _load(path, is_legacy=not _is_archive(path), trust=False)


def _load(path: Path, *, is_legacy: bool, trust: bool) -> Any:
    if is_legacy and not _begins_as_legacy(path):
        raise _plain_pickle(path)
    if trust:
        return _load_trusted(path)
    names: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if is_legacy:
                return read_legacy(path)
            with open_archive(path) as archive:
                try:
                    return read_archived(archive)
                except RefusedError:
                    names = names_in(archive.read("data.pkl"))
                    raise
    except MissingPackageError as missing:
        package = str(missing)
        raise LoadError(
            f"`{path}` holds a model of {package}, which is not installed",
            hint=f'install it with `pip install "gradflow-torch[{package}]"`' if package == "timm" else "",
        ) from missing
    except RefusedError as refused:
        raise _untrusted(path, refused, names) from refused
    except DamagedError as damaged:
        raise _damaged(path, str(damaged)) from damaged


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _begins_as_legacy(path: Path) -> bool:
    try:
        return is_legacy_file(path)
    except OSError as error:
        raise _damaged(path, str(error)) from error


def _plain_pickle(path: Path) -> LoadError:
    with path.open("rb") as file:
        names = names_in(file.read(_SCANNED))
    listed = f"; it wants to use {_listed(sorted(names))}" if names else ""
    return LoadError(
        f"`{path}` is a plain pickle that torch.save did not write",
        note=f"torch cannot load it, and unpickling runs whatever code is in it{listed}",
        hint="write it with `torch.save(model.state_dict(), FILE)` and name the model with `--arch`",
    )


def _load_trusted(path: Path) -> Any:
    """Unpickle with the user's word for it; classes are looked for in the working folder and beside the file."""
    for folder in (str(Path.cwd()), str(path.resolve().parent)):
        if folder not in sys.path:
            sys.path.append(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=False)
    except (AttributeError, ImportError) as error:
        raise LoadError(
            f"`{path}` needs a class that cannot be found",
            note=str(error).partition("\n")[0],
            hint="run from the folder the model was trained in; where the class is one of the script that was run "
            "(`__main__`), save `model.state_dict()` instead and name the model with `--arch train.py:build`",
        ) from error
    except (Exception, SystemExit) as error:
        raise LoadError(
            f"`{path}` cannot be loaded", note=f"{raised_in(error)}: {type(error).__name__}: {_first_line(error)}"
        ) from error


def _untrusted(path: Path, refused: RefusedError, names: list[str]) -> UntrustedFileError:
    unknown = sorted(unknown_names(names) - {refused.name})
    if refused.is_name:
        unknown.insert(0, refused.name)
    named = f": it names {_listed(unknown)}" if unknown else ""
    return UntrustedFileError(
        f"`{path}` is not loaded, because that could run code{named}",
        note=f"{refused}; nothing was run",
        hint=_WAYS_PAST,
    )


def _damaged(path: Path, why: str) -> LoadError:
    return LoadError(f"`{path}` is truncated or damaged", note=why, hint="write or download it again")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:200]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"`{name}`" for name in names[:_SHOWN]) + more
