"""Several parameters in words."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["and_more"]


def and_more(names: Sequence[str]) -> str:
    r"""The first one, and how many others: ``\`a.weight\` and 3 more parameters``."""
    count = len(names) - 1
    return f"`{names[0]}`" + (f" and {count} more parameter{'s' * (count > 1)}" if count else "")
