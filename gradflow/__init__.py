"""Why is this gradient missing or wrong? gradflow says what is broken, where, why, and how to mend it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gradflow.errors import GradflowError as GradflowError

if TYPE_CHECKING:
    from gradflow.audit_report import AuditReport as AuditReport
    from gradflow.auditing import audit as audit
    from gradflow.checking import check as check
    from gradflow.notebook.extension import load_ipython_extension as load_ipython_extension
    from gradflow.notebook.extension import unload_ipython_extension as unload_ipython_extension
    from gradflow.report import Report as Report
    from gradflow.watch.excepthook import install_excepthook as install_excepthook
    from gradflow.watch.excepthook import uninstall_excepthook as uninstall_excepthook
    from gradflow.watch.explain import explain as explain
    from gradflow.watch.explain import explain_last_error as explain_last_error

__version__ = "0.1.0"
__all__ = [
    "AuditReport",
    "GradflowError",
    "Report",
    "audit",
    "check",
    "explain",
    "explain_last_error",
    "install_excepthook",
    "uninstall_excepthook",
]

# Importing torch takes seconds, and the pytest plugin imports this file in every test run of every project: what is
# not free is loaded when it is first used.
_HOMES = {
    "AuditReport": "audit_report",
    "Report": "report",
    "audit": "auditing",
    "check": "checking",
    "explain": "watch.explain",
    "explain_last_error": "watch.explain",
    "install_excepthook": "watch.excepthook",
    "load_ipython_extension": "notebook.extension",
    "uninstall_excepthook": "watch.excepthook",
    "unload_ipython_extension": "notebook.extension",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"gradflow.{home}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
