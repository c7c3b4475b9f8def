"""A run together with the checksums of what its operations gave."""

from __future__ import annotations

from dataclasses import dataclass

from gradflow.probe.comparing.checksums import Checksums
from gradflow.record.run import Run

__all__ = ["Checksummed"]


@dataclass(slots=True, kw_only=True)
class Checksummed:
    """A run and what it was reduced to."""

    run: Run
    sums: Checksums
