"""What a verb of the command line is."""

from __future__ import annotations

import argparse
from typing import Any, Protocol

__all__ = ["Subparsers", "Verb"]

Subparsers = Any  # argparse has no public name for what `add_subparsers` returns


class Verb(Protocol):
    """One verb, in a file of its own; importing that file is cheap."""

    @property
    def name(self) -> str:
        """The word on the command line."""

    def add_parser(self, subparsers: Subparsers) -> None:
        """Add the verb with its options."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it and return the exit status; a :class:`gradflow.GradflowError` becomes status 2."""
