"""Programs of ``torch.export`` in ``.pt2`` files."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from gradflow.errors import LoadError, UntrustedFileError
from gradflow.load.files.exported_archive import unusual_content
from gradflow.load.source import SourcedModel

__all__ = ["load_exported"]


def load_exported(path: Path, *, trust: bool) -> SourcedModel:
    """The exported program as a module whose submodules have their original names, so that hooks fire on them.

    Raises
    ------
    UntrustedFileError
        When loading it could run code and ``trust`` is not set.
    LoadError
        When torch cannot load it.
    """
    try:
        unusual = "" if trust else unusual_content(path)
    except Exception as error:  # damaged archives raise nearly anything
        raise _damaged(path, error) from error
    if unusual:
        raise UntrustedFileError(
            f"`{path}` holds {unusual}, and loading that can run code",
            note="torch.export trusts its files; nothing was run",
            hint="if you know where the file comes from, pass `--trust`",
        )
    with _quietly():
        try:
            program = torch.export.load(str(path))
        except Exception as error:
            raise _damaged(path, error) from error
        model, limits = _as_module(program)
    return SourcedModel(
        model=model,
        name=path.name,
        assumptions=("mode: as it was exported; an exported program cannot be switched between train and eval",),
        limits=limits,
        example_inputs=_example_inputs(program),
    )


def _as_module(program: Any) -> tuple[torch.nn.Module, tuple[str, ...]]:
    try:
        return torch.export.unflatten(program), ()
    except Exception:  # noqa: BLE001 - programs whose module structure was not kept can still be run flat
        limits = ("the module structure of this program cannot be restored: only parameters can be asked for",)
        module: torch.nn.Module = program.module(check_guards=False)
        return module, limits


def _example_inputs(program: Any) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    example = program.example_inputs
    if not example:
        return None
    arguments, keywords = example
    return tuple(arguments), dict(keywords)


@contextmanager
def _quietly() -> Iterator[None]:
    """torch.export logs tracebacks while it falls back to other ways; ours is the one message that counts."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)


def _damaged(path: Path, error: Exception) -> LoadError:
    return LoadError(
        f"`{path}` is an exported program that torch {torch.__version__} cannot load",
        note=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}",
        hint="export it again, with a torch not newer than this one",
    )
