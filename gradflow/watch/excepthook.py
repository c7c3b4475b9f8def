"""Explains exceptions of autograd that end a program, after Python has shown them. Imports no torch before that."""

from __future__ import annotations

import contextlib
import sys
from types import TracebackType

from gradflow.printable import inert, printable
from gradflow.record.conduct.their_exceptions import text_of

__all__ = ["install_excepthook", "uninstall_excepthook"]


class _Hook:
    """What stands in ``sys.excepthook``: first the hook that was there, then the explanation."""

    def __init__(self) -> None:
        self.before = sys.excepthook
        self.is_on = True

    def __call__(self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        self.before(kind, error, traceback)
        if self.is_on and "torch" in sys.modules:
            _explain(error)


def _explain(error: BaseException) -> None:
    """Print an explanation, or nothing: whatever happens here, the program's own exception has been shown."""
    try:
        from gradflow.watch.post_mortem.examine import report_about
        from gradflow.watch.showing import is_explained, show

        if is_explained(error):
            return
        report = report_about(error)
        if report.diagnostics:
            show(report)
    except Exception as failure:  # noqa: BLE001  (nothing may hide the program's own exception)
        said = printable(f"gradflow: could not explain this: {type(failure).__name__}: {text_of(failure)}")
        with contextlib.suppress(OSError, ValueError):  # closed, or nobody reads it
            print(inert(said), file=sys.stderr)  # noqa: T201


def install_excepthook() -> None:
    """Explain every exception of autograd that ends the program, below its traceback.

    The hook that was in ``sys.excepthook`` still runs, first; other exceptions are left to it alone. Nothing is watched
    and nothing is slower. In IPython and Jupyter, write ``%gradflow on`` instead.
    """
    if not _installed:
        _installed.append(_Hook())
        sys.excepthook = _installed[0]


def uninstall_excepthook() -> None:
    """Undo :func:`install_excepthook`; a hook that was put on top of it since stays."""
    for hook in _installed:
        hook.is_on = False
        if sys.excepthook is hook:
            sys.excepthook = hook.before
    _installed.clear()


_installed: list[_Hook] = []
