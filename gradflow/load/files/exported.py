"""Programs of ``torch.export`` in ``.pt2`` files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch._dynamo  # torch.export.unflatten needs it, and importing it takes longer than most programs do
from torch.export.pt2_archive._package import load_pt2

from gradflow.errors import GradflowError, LoadError, UntrustedFileError
from gradflow.load.files.archive import open_archive
from gradflow.load.files.exported_program.deadline import TookTooLongError, within
from gradflow.load.files.exported_program.offence import AsksTooMuch, NeedsPackage, Offence, RunsCode
from gradflow.load.files.exported_program.rewriting import fresh_copy
from gradflow.load.files.limits import RESTORING_SECONDS, RESTORING_SECONDS_PER_MEBIBYTE
from gradflow.load.quiet import quietly
from gradflow.load.source import SourcedModel

__all__ = ["load_exported"]


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
    # torch.export logs tracebacks and prints what it tries; ours is the one message that counts
    with quietly(), _translate_errors(path):
        if trust:
            restored = _restore(torch.export.load(str(path)))
        else:
            with open_archive(path) as archive, fresh_copy(archive) as copy:
                seconds = RESTORING_SECONDS + RESTORING_SECONDS_PER_MEBIBYTE * copy.program_bytes / 2**20
                restored = within(seconds, lambda: _restore(_load_copy(copy.path)))
                left_out = copy.left_out
    mode = "mode: as it was exported; an exported program cannot be switched between train and eval"
    return SourcedModel(
        model=restored.model,
        name=path.name,
        assumptions=(mode, *left_out),
        limits=restored.limits,
        example_inputs=restored.example_inputs,
        has_modes=False,
        is_vouched_for=trust,
    )


class _Restored(NamedTuple):
    """A model, what cannot be asked of it, and the inputs that it was exported with."""

    model: torch.nn.Module
    limits: tuple[str, ...]
    example_inputs: tuple[tuple[Any, ...], dict[str, Any]] | None


def _load_copy(path: Path) -> Any:
    """As ``torch.export.load``, which would try older formats next and hide what went wrong with this one."""
    return load_pt2(str(path)).exported_programs["model"]


def _restore(program: Any) -> _Restored:
    """The program with its modules; flat, where its module structure was not kept."""
    example = _example_inputs(program)
    try:
        return _Restored(torch.export.unflatten(program), (), example)
    except Exception:  # noqa: BLE001 - whatever it fails over, the program can still be run flat
        limits = ("the module structure of this program cannot be restored: only parameters can be asked for",)
        return _Restored(program.module(check_guards=False), limits, example)


def _example_inputs(program: Any) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    example = program.example_inputs
    if not example:
        return None
    arguments, keywords = example
    return tuple(arguments), dict(keywords)


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    """Turn what was found in the file, and whatever torch raises over it, into an error for the user."""
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
    except NeedsPackage as error:
        raise LoadError(
            f"`{path}` holds {error.found}",
            note=f"{error.__cause__}",
            hint=f"install it with `pip install {error.package}`",
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
