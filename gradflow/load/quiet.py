"""Runs what is not the user's own doing without a word: a trial, or a library that reports what it tries."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

__all__ = ["quietly"]


@contextmanager
def quietly() -> Iterator[None]:
    """Within the block, warnings, log records, and what Python prints to standard output are dropped."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
