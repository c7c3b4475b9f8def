"""`gradflow check` without a model: whatever the project declares in its `pyproject.toml`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from gradflow.cli.failure import report_failure, telling_of_hard_exit
from gradflow.cli.printing import printing
from gradflow.cli.progress import progress
from gradflow.declared.expectations import Expectation, expectations_of
from gradflow.declared.finding import find_pyproject
from gradflow.declared.model import DeclaredModel
from gradflow.declared.reading import read_declared_models
from gradflow.errors import GradflowError, UsageError
from gradflow.printable import inert, printable

__all__ = ["check_declared"]

_NOT_MET = 1


def check_declared(args: argparse.Namespace) -> int:
    """Check each expectation of each declared model and show those that are not met.

    Returns
    -------
    int
        0 when all are met, 1 when one is not, 2 when one could not be checked.

    Raises
    ------
    UsageError
        When there is nothing declared, or an option is given that only makes sense with a model.
    """
    _require_no_other_option(args)
    status = 0
    met = count = 0
    models = tuple(model.trusted() for model in _models()) if args.trust else _models()
    width = max(len(one.kind) for model in models for one in expectations_of(model))
    for model, expectations in ((model, expectations_of(model)) for model in models):
        with printing():
            print(inert(printable(f"{model.name} ({model.request.model})")))
        for expectation in expectations:
            count += 1
            outcome = _checked(expectation)
            with printing():
                for line in _lines(expectation, outcome, width):
                    print(inert(line))
            if outcome is None:
                met += 1
            elif isinstance(outcome, GradflowError):
                status = report_failure(outcome, debug=args.debug)
            else:
                status = status or _NOT_MET
    with printing():
        print(f"\n{met} of {count} expectations met")
    return status


def _require_no_other_option(args: argparse.Namespace) -> None:
    for name, value in vars(args).items():
        if name not in ("verb", "version", "debug", "trust") and value not in (None, False, "", []):
            raise UsageError(
                f"`--{name.replace('_', '-')}` needs a model",
                note="without one, the models that pyproject.toml declares are checked, in the way that it declares",
                hint="`gradflow check MODEL [--layer LAYER] [options]`",
            )


def _models() -> tuple[DeclaredModel, ...]:
    try:
        folder = Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the working folder is not there any more", hint="`cd` to one that is") from error
    pyproject = find_pyproject(folder)
    models = read_declared_models(pyproject) if pyproject is not None else ()
    if not models:
        raise UsageError(
            "there is no model to check",
            note="none is named, and no pyproject.toml here or above declares one in `[tool.gradflow.models.NAME]`",
            hint="`gradflow check train.py:build --layer backbone.layer4`, or `gradflow check resnet50` to try it",
        )
    return models


def _checked(expectation: Expectation) -> GradflowError | AssertionError | None:
    with progress() as say, telling_of_hard_exit():
        say(f"checking {expectation.model.name}: {expectation.kind}")
        try:
            expectation.verify()
        except (GradflowError, AssertionError) as error:
            return error
    return None


def _lines(expectation: Expectation, outcome: GradflowError | AssertionError | None, width: int) -> Iterator[str]:
    word = "met" if outcome is None else "not checked" if isinstance(outcome, GradflowError) else "NOT MET"
    yield f"  {expectation.kind:{width}}  {word}"
    if isinstance(outcome, AssertionError):
        yield ""
        yield str(outcome).rstrip()
        yield ""
