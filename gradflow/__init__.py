"""Why is this gradient missing or wrong? gradflow says what is broken, where, why, and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradflow.errors import GradflowError as GradflowError
from gradflow.errors import NotConnectedError as NotConnectedError
from gradflow.report import Report as Report

if TYPE_CHECKING:
    from gradflow.checking import check as check

__version__ = "0.1.0"
__all__ = ["GradflowError", "NotConnectedError", "Report", "check"]


def __getattr__(name: str) -> Any:
    # importing torch takes seconds: what needs it is loaded when it is first used
    if name == "check":
        from gradflow.checking import check

        globals()["check"] = check
        return check
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
