"""Inputs from files (``x.pt``, ``x.npy``) and from the user's code (``file.py:factory``)."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch

from gradflow.errors import LoadError
from gradflow.load.inputs.input_file import read_input
from gradflow.load.user_code import UserCode, blaming_user_code, is_object_reference

__all__ = ["as_call", "referenced_inputs"]


def referenced_inputs(
    references: Sequence[str], user_code: UserCode, weights: Collection[str]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments and keywords for the model from one or several references.

    One reference that gives a tuple is all the positional arguments, one that gives a mapping with text keys is the
    keywords; anything else, also a list, is one positional argument. Of several references each gives one argument,
    or keywords. A file whose names are all among ``weights``, those of the model's weights, is none.

    Raises
    ------
    LoadError
        When one of them cannot be loaded.
    """
    arguments: list[Any] = []
    keywords: dict[str, Any] = {}
    for reference in references:
        value = _value(reference, user_code, weights)
        more, named = as_call(value) if len(references) == 1 or isinstance(value, Mapping) else ((value,), {})
        arguments.extend(more)
        keywords.update(named)
    return tuple(arguments), keywords


def as_call(value: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A tuple as positional arguments, a mapping with text keys as keywords, anything else as one argument."""
    if type(value) is tuple:
        return value, {}
    if isinstance(value, Mapping) and value and all(isinstance(key, str) and key.isidentifier() for key in value):
        return (), dict(value)
    return (value,), {}


def _value(reference: str, user_code: UserCode, weights: Collection[str]) -> Any:
    if is_object_reference(reference) or reference.endswith(".py"):
        found = user_code.object_at(reference, "input")
        if not callable(found) or isinstance(found, torch.Tensor):
            return found
        _require_no_arguments(found, reference)
        with blaming_user_code(f"`{reference}` raised while it made the input"):
            value = found()
        if value is None:
            raise LoadError(f"`{reference}` gives `None`, not an input", hint="does it lack a `return`?")
        return value
    return read_input(reference, weights)


def _require_no_arguments(factory: Any, reference: str) -> None:
    try:
        inspect.signature(factory).bind()
    except ValueError:
        return
    except TypeError as error:
        raise LoadError(
            f"`{reference}` cannot be called without arguments: {error}", hint="name a function that needs none"
        ) from error
