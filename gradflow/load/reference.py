"""Models named by an object reference: an ``nn.Module``, a class of one, or a factory."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from gradflow.errors import LoadError, UsageError
from gradflow.load.module_tree import MOST_NESTED, CircularModulesError, measure_modules
from gradflow.load.observe import BuildObserver
from gradflow.load.source import SourcedModel
from gradflow.load.user_code import UserCode, blaming_user_code

__all__ = ["build_reference", "parse_arguments"]


def parse_arguments(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Values of ``--model-arg`` as Python literals where they are some (``3``, ``None``, ``[1, 2]``), else as text."""
    parsed: dict[str, Any] = {}
    for name, value in pairs:
        if not name.isidentifier():
            raise UsageError(f"`{name}` cannot be the name of an argument", hint="write `--model-arg name=value`")
        try:
            parsed[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):  # what Python raises for brackets without end
            parsed[name] = value
    return parsed


def build_reference(user_code: UserCode, reference: str, arguments: Mapping[str, Any]) -> SourcedModel:
    """The model that ``reference`` names, built under an observer that notes where the user's code did what.

    Raises
    ------
    LoadError
        When the object does not exist, raises, cannot be called with ``arguments``, or gives no ``nn.Module``.
    UsageError
        When arguments are given for something that takes none.
    """
    with BuildObserver() as observer:
        found = user_code.object_at(reference, "model")
        if isinstance(found, torch.nn.Module):
            if arguments:
                raise UsageError(
                    f"`{reference}` is a model already, so `--model-arg` has nothing to go to",
                    hint="name the class or the factory that makes it",
                )
            model: Any = found
        elif callable(found):
            _require_arguments_fit(found, reference, arguments)
            with blaming_user_code(f"`{reference}` raised while it built the model"):
                model = found(**arguments)
        else:
            model = found
    if not isinstance(model, torch.nn.Module):
        raise LoadError(
            f"`{reference}` gives {_described(model)}, not a model",
            note="a model is a `torch.nn.Module`, a class of one, or a function that returns one",
            hint="return only the model; inputs come from `--input`" if isinstance(model, (tuple, list, dict)) else "",
        )
    _require_walkable(model, reference)
    return SourcedModel(model=model, name=reference, provenance=observer.provenance(model))


def _require_arguments_fit(factory: Callable[..., Any], reference: str, arguments: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise LoadError(
            f"`{reference}` cannot be called like this: {error}",
            note=f"its signature is `{reference.rpartition(':')[2]}{signature}`",
            hint="give arguments with `--model-arg name=value`, once per argument",
        ) from error


def _require_walkable(model: torch.nn.Module, reference: str) -> None:
    """Raise where the modules are nested so deeply, or in a circle, that neither torch nor gradflow can go through."""
    try:
        tree = measure_modules([model])
    except CircularModulesError as error:
        raise LoadError(
            f"`{reference}` gives a model that contains itself",
            note=str(error),
            hint="hold it in a list or a closure, which registers nothing",
        ) from error
    if tree.depth > MOST_NESTED:
        raise LoadError(
            f"`{reference}` gives a model of {tree.depth:,} modules inside one another",
            note=f"torch calls them one inside the other, for which Python has no room; gradflow takes {MOST_NESTED}",
        )


def _described(value: object) -> str:
    if value is None:
        return "`None`"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} `{name}`"
