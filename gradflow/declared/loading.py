"""Loads a declared model where it is declared, and leaves torch as it was."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from gradflow.declared.model import DeclaredModel
from gradflow.load.loading import load_workload
from gradflow.load.scores.loss import with_loss as with_default_loss
from gradflow.load.workload import Workload
from gradflow.trace.state_settings import RandomState, Settings

__all__ = ["loaded"]


@contextlib.contextmanager
def loaded(model: DeclaredModel, *, with_loss: bool = False) -> Iterator[Workload]:
    """The workload of a model, loaded in its folder; torch's settings and the folder are put back afterwards.

    Raises
    ------
    GradflowError
        When the model, its input, its score or its loss cannot be obtained.
    """
    settings, random = Settings(), RandomState()
    request = model.request
    if with_loss:
        request = dataclasses.replace(request, loss=model.loss, score=None, target=None)
    try:
        with contextlib.chdir(model.folder):
            workload = load_workload(request)
            if with_loss and model.loss is None:
                workload = with_default_loss(workload, output=model.request.output)
            yield workload
    finally:
        settings.restore()
        random.restore()
