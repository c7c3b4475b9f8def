"""Whether torch's own containers can hold what lies in a plain one, tried out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

__all__ = ["are_all_modules", "working_key"]

_FORMS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("key", lambda key: key),
    ("str(key)", str),
    ('str(key).replace(".", "_")', lambda key: str(key).replace(".", "_")),
    ('"of_" + str(key).replace(".", "_")', lambda key: "of_" + str(key).replace(".", "_")),
)


def working_key(keys: Iterable[Any], *, of_modules: bool) -> str:
    """How a dictionary's keys are written so that a ``ModuleDict`` or ``ParameterDict`` takes all of them.

    ``"key"`` where it takes them as they are; empty where no form that was tried keeps them apart.
    """
    originals = list(keys)
    return next((text for text, form in _FORMS if _takes([form(key) for key in originals], of_modules)), "")


def are_all_modules(items: Iterable[Any]) -> bool:
    """Whether a ``ModuleList`` takes the items: it takes no plain list of modules either."""
    return all(isinstance(item, torch.nn.Module) for item in items)


def _takes(keys: list[Any], of_modules: bool) -> bool:
    if len(set(keys)) != len(keys):
        return False
    container: Any = torch.nn.ModuleDict() if of_modules else torch.nn.ParameterDict()
    try:
        for key in keys:
            container[key] = torch.nn.Identity() if of_modules else torch.nn.Parameter(torch.empty(0))
    except Exception:  # noqa: BLE001  (whatever torch refuses a key with)
        return False
    return len(container) == len(keys)
