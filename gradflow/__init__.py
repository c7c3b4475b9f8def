"""Why is this gradient missing or wrong? gradflow says what is broken, where, why, and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradflow.audit_report import AuditReport as AuditReport
from gradflow.errors import GradflowError as GradflowError
from gradflow.errors import NotConnectedError as NotConnectedError
from gradflow.report import Report as Report

if TYPE_CHECKING:
    from gradflow.auditing import audit as audit
    from gradflow.checking import check as check

__version__ = "0.1.0"
__all__ = ["AuditReport", "GradflowError", "NotConnectedError", "Report", "audit", "check"]


def __getattr__(name: str) -> Any:
    # importing torch takes seconds: what needs it is loaded when it is first used
    if name == "check":
        from gradflow.checking import check

        globals()["check"] = check
        return check
    if name == "audit":
        from gradflow.auditing import audit

        globals()["audit"] = audit
        return audit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
