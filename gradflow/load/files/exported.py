"""Programs of ``torch.export`` in ``.pt2`` files."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # torch.export.unflatten needs it, and importing it takes longer than most programs do
from torch.export.pt2_archive._package import load_pt2

from gradflow.errors import GradflowError, LoadError, UntrustedFileError
from gradflow.load.files.archive import open_archive
from gradflow.load.files.exported_program.deadline import TookTooLongError, deadline
from gradflow.load.files.exported_program.offence import AsksTooMuch, Offence, RunsCode
from gradflow.load.files.exported_program.rewriting import fresh_copy
from gradflow.load.source import SourcedModel

__all__ = ["load_exported"]

# torch takes about one second for a mebibyte of a program's JSON; sizes that are symbols can take it ten times longer
_SECONDS = 8.0
_SECONDS_PER_MEBIBYTE = 30.0


def load_exported(path: Path, *, trust: bool) -> SourcedModel:
    """The exported program as a module whose submodules have their original names, so that hooks fire on them.

    Unless ``trust`` is set, torch only gets a copy of what was checked: see :func:`fresh_copy`.

    Raises
    ------
    UntrustedFileError
        When loading it could run code and ``trust`` is not set.
    LoadError
        When it is damaged, asks for too much, or torch cannot load it.
    """
    left_out: tuple[str, ...] = ()
    with _quietly(), _told(path):
        if trust:
            program = torch.export.load(str(path))
            model, limits = _as_module(program)
        else:
            with open_archive(path) as archive, fresh_copy(archive) as copy:
                seconds = _SECONDS + _SECONDS_PER_MEBIBYTE * copy.program_bytes / 2**20
                with deadline(seconds):
                    program, left_out = _load_copy(copy.path), copy.left_out
                    model, limits = _as_module(program)
        example = _example_inputs(program)
    mode = "mode: as it was exported; an exported program cannot be switched between train and eval"
    return SourcedModel(
        model=model,
        name=path.name,
        assumptions=(mode, *left_out),
        limits=limits,
        example_inputs=example,
        is_vouched_for=trust,
    )


def _load_copy(path: Path) -> Any:
    """As ``torch.export.load``, which would try older formats next and hide what went wrong with this one."""
    return load_pt2(str(path)).exported_programs["model"]


def _as_module(program: Any) -> tuple[torch.nn.Module, tuple[str, ...]]:
    """The program with its modules, or flat; and what cannot be asked of it."""
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
    """torch.export logs tracebacks and prints what it tries; ours is the one message that counts."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns what was found in the file, and whatever torch raises over it, into an error for the user."""
    try:
        yield
    except GradflowError:
        raise
    except RunsCode as error:
        raise UntrustedFileError(
            f"`{path}` holds {error.found}, and loading that can run code",
            note="torch.export trusts its files; nothing was run",
            hint="if you know where the file comes from, pass `--trust`",
        ) from error
    except (AsksTooMuch, TookTooLongError) as error:
        found = error.found if isinstance(error, AsksTooMuch) else f"a program that torch was {error}"
        raise LoadError(
            f"`{path}` holds {found}",
            note="that is more than gradflow hands to torch from a file it does not know",
            hint="if you know where the file comes from, pass `--trust`",
        ) from error
    except Offence as error:
        raise LoadError(
            f"`{path}` is an exported program that torch {torch.__version__} cannot load",
            note=f"it holds {error.found}",
            hint="export it again, with a torch not newer than this one",
        ) from error
    except Exception as error:  # torch raises nearly anything over what it cannot load
        cause = _first_cause(error)
        raise LoadError(
            f"`{path}` is an exported program that torch {torch.__version__} cannot load",
            note=f"{type(cause).__name__}: {str(cause).strip().partition(chr(10))[0][:200]}",
            hint="export it again, with a torch not newer than this one",
        ) from error


def _first_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
