"""One line per finding, as editors understand it: ``path:line:column: error GF101 detach: ...``."""

from __future__ import annotations

from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.printable import inert
from gradflow.render.printable_copy import printable_copy
from gradflow.render.words import distinct_diagnostics, headline
from gradflow.report import Report
from gradflow.source_place import place

__all__ = ["render_concise"]

_NO_PLACE = "gradflow"  # as compilers name themselves where there is no line to name


def render_concise(report: Report) -> str:
    """The findings of all layers, each once, errors first, and the verdict of every layer without one.

    Vim's ``errorformat`` for it is ``%f:%l:%c: %t%*[a-z] %m``.
    """
    report = printable_copy(report)
    lines = [_line(diagnostic) for diagnostic, _ in distinct_diagnostics(report)]
    lines += [f"{_NO_PLACE}: {headline(one)}" for one in report.reports if not one.diagnostics]
    return inert("".join(f"{line}\n" for line in lines))


def _line(diagnostic: Diagnostic) -> str:
    where = _NO_PLACE if diagnostic.location is None else place(diagnostic.location)
    return f"{where}: {diagnostic.severity} {diagnostic.code} {diagnostic.name}: {diagnostic.message}"
