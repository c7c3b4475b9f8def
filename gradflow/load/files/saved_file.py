"""Files of ``torch.save``: a whole model, a state dict, or a training checkpoint that holds one of them.

Without ``--trust`` nothing in the file can run: its pickle is first read with stand-ins, every class it names must be
on the allow-list, and only then ``torch.load(weights_only=True)`` sees it.
"""

from __future__ import annotations

import pickle
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gradflow.errors import LoadError, UntrustedFileError, UsageError
from gradflow.load.files.allow_list import allowed_globals
from gradflow.load.files.checkpoint import find_weights
from gradflow.load.files.pickle_scan import PickleContents, scan_pickle
from gradflow.load.files.state_dict import load_weights
from gradflow.load.source import SourcedModel
from gradflow.load.user_code import raised_in

__all__ = ["load_saved_file", "load_tensors"]

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PICKLES = 4  # magic number, protocol, system, the object; storages follow
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
    mode = "train" if model.training else "eval"
    said = f"model: the one under `{where}` in the file" if where else ""
    return SourcedModel(
        model=model, name=path.name, assumptions=tuple(filter(None, (said, f"mode: {mode}, as it was saved")))
    )


def load_tensors(path: Path) -> Any:
    """A file of ``torch.save`` that holds tensors and plain containers, for example inputs.

    Raises
    ------
    UntrustedFileError, LoadError
        As :func:`load_saved_file`.
    """
    return _load(path, is_legacy=not zipfile.is_zipfile(path), trust=False)


def _load(path: Path, *, is_legacy: bool, trust: bool) -> Any:
    contents = _scan(path, is_legacy=is_legacy)
    if trust:
        return _load_trusted(path)
    verdict = allowed_globals(contents)
    if verdict.missing_packages:
        package = min(verdict.missing_packages)
        raise LoadError(
            f"`{path}` holds a model of {package}, which is not installed",
            hint=f'install it with `pip install "gradflow-torch[{package}]"`' if package == "timm" else "",
        )
    if verdict.refused:
        raise _untrusted(path, verdict.refused)
    if contents.has_source:
        raise UntrustedFileError(
            f"`{path}` is a whole model in the format of torch before 1.6, which only unpickling can read",
            note="unpickling can run code; nothing was run",
            hint=_WAYS_PAST,
        )
    known = torch.serialization.get_safe_globals()
    mine: list[Any] = [entry for entry in verdict.allowed if entry not in known]
    try:
        with torch.serialization.safe_globals(mine), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # well-formed, as the scan has shown, but beyond what torch restores safely
        raise UntrustedFileError(
            f"`{path}` cannot be loaded without unpickling",
            note=_first_line(Exception(str(error).rpartition("WeightsUnpickler error:")[2])),
            hint=_WAYS_PAST,
        ) from error
    except Exception as error:
        raise _damaged(path, error) from error


def _scan(path: Path, *, is_legacy: bool) -> PickleContents:
    try:
        if not is_legacy:
            with zipfile.ZipFile(path) as archive:
                record = next(name for name in archive.namelist() if name.partition("/")[2] == "data.pkl")
                with archive.open(record) as file:
                    return scan_pickle(file)
        with path.open("rb") as file:
            contents = scan_pickle(file)
            if contents.first_number == _LEGACY_MAGIC:
                file.seek(0)
                return scan_pickle(file, count=_LEGACY_PICKLES)
    except Exception as error:  # damaged pickles raise nearly anything
        raise _damaged(path, error) from error
    listed = f"; it wants to use {_listed(sorted(contents.names))}" if contents.names else ""
    raise LoadError(
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


def _untrusted(path: Path, refused: dict[str, str]) -> UntrustedFileError:
    names = sorted(refused)
    reasons = "; ".join(f"`{name}` {refused[name]}" for name in names[:_SHOWN])
    more = f"; and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return UntrustedFileError(
        f"`{path}` cannot be loaded without running code from outside torch: it needs {_listed(names)}",
        note=f"{reasons}{more}; nothing was run",
        hint=_WAYS_PAST,
    )


def _damaged(path: Path, error: Exception) -> LoadError:
    return LoadError(
        f"`{path}` is truncated or damaged",
        note=f"{type(error).__name__}: {_first_line(error)}",
        hint="write or download it again",
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:200]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"`{name}`" for name in names[:_SHOWN]) + more
