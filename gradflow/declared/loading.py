"""Loads a declared model where it is declared, and leaves torch as it was."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from gradflow.declared.model import DeclaredModel
from gradflow.declared.trust import why_trust_does_not_count
from gradflow.errors import UntrustedFileError
from gradflow.load.loading import load_workload
from gradflow.load.scores.loss import with_loss as with_default_loss
from gradflow.load.workload import Workload
from gradflow.record.state.settings import RandomState, Settings

__all__ = ["loaded"]


@contextlib.contextmanager
def loaded(model: DeclaredModel, *, with_loss: bool = False) -> Iterator[Workload]:
    """The workload of a model, loaded in its folder; torch's settings and the folder are put back afterwards.

    Raises
    ------
    UntrustedFileError
        When the file would have to run code, and nobody whose word counts has said that it may.
    GradflowError
        When the model, its input, its score or its loss cannot be obtained.
    """
    settings, random = Settings(), RandomState()
    request, doubt = model.request, ""
    if model.declares_trust and not request.trust:
        doubt = why_trust_does_not_count(model.pyproject, request.model)
        request = dataclasses.replace(request, trust=not doubt)
    if with_loss:
        request = dataclasses.replace(request, loss=model.loss, score=None, target=None)
    try:
        with contextlib.chdir(model.folder):
            with _saying_why_untrusted(doubt):
                workload = load_workload(request)
            if with_loss and model.loss is None:
                workload = with_default_loss(workload, output=model.request.output)
            yield workload
    finally:
        settings.restore()
        random.restore()


@contextlib.contextmanager
def _saying_why_untrusted(doubt: str) -> Iterator[None]:
    try:
        yield
    except UntrustedFileError as error:
        if not doubt:
            raise
        said = f"`trust = true` in pyproject.toml does not count here: {doubt}"
        raise UntrustedFileError(
            error.message,
            note=f"{error.note}; {said}" if error.note else said,
            hint="if you know where both files come from, add them to the git repository of the project, or pass "
            "`--trust` (`--gradflow-trust` to pytest)",
        ) from error
