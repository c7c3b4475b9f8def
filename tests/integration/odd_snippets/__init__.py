"""Odd but legal pieces of torch: each is run plainly and watched, and must give the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SNIPPETS: dict[str, Callable[[], Any]] = {}


def snippet(function: Callable[[], Any]) -> Callable[[], Any]:
    """Add a snippet: a function of no arguments whose result, or exception, is compared by its ``repr``."""
    SNIPPETS[f"{function.__module__.rpartition('.')[2]}.{function.__name__}"] = function
    return function


def outcome(name: str) -> tuple[str, str]:
    """What a snippet gives or raises, from a fixed seed."""
    import random

    import torch

    random.seed(0)
    torch.manual_seed(0)
    try:
        return "gives", repr(SNIPPETS[name]())
    except Exception as error:  # noqa: BLE001  (which one it is, is compared)
        return "raises", f"{type(error).__name__}: {error}"
