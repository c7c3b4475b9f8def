"""The exit status of every command that makes a report: one rule, asked by all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

__all__ = ["exit_status"]


def exit_status(
    verdicts: Iterable[str], severities: Iterable[Literal["error", "warning", "info"]], *, strict: bool = False
) -> Literal[0, 1]:
    """1 where a gradient is missing or wrong, else 0; status 2, for what could not be carried out, is not told here.

    Parameters
    ----------
    verdicts
        One for each gradient that was asked for: any but ``connected`` is a 1.
    severities
        Those of all findings: an ``error`` is a 1, whatever the verdicts are, because a finding may be about another
        gradient than the one that the verdict names.
    strict
        Whether a ``warning`` is a 1 too.
    """
    refused = {"error", "warning"} if strict else {"error"}
    is_bad = any(verdict != "connected" for verdict in verdicts) or not refused.isdisjoint(severities)
    return 1 if is_bad else 0
