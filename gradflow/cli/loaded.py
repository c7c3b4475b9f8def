"""Loading what a verb runs, with progress shown, and leaving torch's settings as they were."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gradflow.cli.failure import telling_of_hard_exit
from gradflow.cli.lasting import loading_torch
from gradflow.cli.options import request_of
from gradflow.cli.progress import progress

if TYPE_CHECKING:
    from gradflow.load.workload import Workload

__all__ = ["loaded"]


@contextlib.contextmanager
def loaded(args: argparse.Namespace, *, loss: str | None = None) -> Iterator[tuple[Workload, Callable[[str], None]]]:
    """The workload that the options name, and a function to call with what is done now.

    ``loss`` names a loss function that takes the place of the score. Whatever the user's own code did to grad mode,
    default dtype and the like holds inside the block only, and so does the seed.

    Raises
    ------
    GradflowError
        When the model, its input or its score cannot be obtained.
    """
    with progress() as say, telling_of_hard_exit():
        say("loading torch")
        with loading_torch():
            from gradflow.load.loading import load_workload
            from gradflow.record.state.settings import RandomState, Settings

        settings, random = Settings(), RandomState()
        try:
            say(f"loading {args.model}")
            yield load_workload(dataclasses.replace(request_of(args), loss=loss)), say
        finally:
            settings.restore()
            random.restore()
