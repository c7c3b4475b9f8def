"""``%%gradflow`` runs a cell and explains its gradients; ``%gradflow`` explains the last exception, or all."""

from __future__ import annotations

import re
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, output_can_be_silenced

from gradflow.errors import GradflowError
from gradflow.notebook.running import run_source
from gradflow.printable import printable

__all__ = ["GradflowMagics"]

_OPTION = re.compile(r"--steps(?:\s+|=)(?P<steps>\d+)(?:\s+|$)|(?P<quiet>--quiet)(?:\s+|$)")


@magics_class
class GradflowMagics(Magics):  # type: ignore[misc,unused-ignore]
    """The magics, for one shell."""

    _is_on = False

    @output_can_be_silenced
    @line_cell_magic
    def gradflow(self, line: str, cell: str | None = None) -> Any:
        """Explain why a gradient is missing or wrong.

        %%gradflow [--steps N] [--quiet]     run this cell, then say what its gradients met
        %gradflow [options] STATEMENT        run one statement so
        %gradflow                            explain the exception that was shown last
        %gradflow on | off                   explain exceptions of autograd as they come, or no more

        Put the forward and the backward into the same cell: of what ran before, less can be told. With --steps,
        gradflow steps aside after N backward passes. With --quiet, it prints nothing; the report is in
        `gradflow_report` either way.
        """
        steps, is_quiet, rest = _options(line)
        if cell is not None:
            if rest:
                raise UsageError(f"%%gradflow: `{printable(rest)}` is no option; the code belongs on the lines below")
            return self._run(cell, steps, is_quiet, first_line=2)
        if rest in ("on", "off"):
            self.explain_errors(on=rest == "on")
            return None
        if rest:
            return self._run(rest, steps, is_quiet, first_line=1)
        self._explain_last()
        return None

    def _run(self, source: str, steps: int | None, is_quiet: bool, *, first_line: int) -> Any:
        """Run source in the user's namespace; the report is shown when the cell has ended, below what it shows."""
        from gradflow.watch.explain import Explanation
        from gradflow.watch.showing import mark_explained, show

        shell: Any = self.shell
        explanation = Explanation(steps=steps, quiet=True)

        def after(result: Any) -> None:
            shell.events.unregister("post_run_cell", after)
            report = explanation.report
            if report is not None:
                shell.user_ns["gradflow_report"] = report
                if not is_quiet:
                    show(report)

        shell.events.register("post_run_cell", after)
        try:
            return run_source(shell, source, explanation, first_line=first_line)
        except BaseException as error:
            mark_explained(error)
            raise

    def _explain_last(self) -> None:
        from gradflow.watch.explain import explain_last_error

        try:
            explain_last_error()
        except GradflowError as error:
            raise UsageError(f"%gradflow: {error.message}") from None

    def explain_errors(self, *, on: bool) -> None:
        """Explain exceptions of autograd below their traceback, from now on, or no more."""
        if on != self._is_on:
            shell: Any = self.shell
            change = shell.events.register if on else shell.events.unregister
            change("post_run_cell", self._explain)
            self._is_on = on

    def _explain(self, result: Any) -> None:
        from gradflow.watch.post_mortem.examine import report_about
        from gradflow.watch.showing import is_explained, show

        error = result.error_in_exec
        if error is not None and not is_explained(error):
            report = report_about(error)
            if report.diagnostics:
                show(report)


def _options(line: str) -> tuple[int | None, bool, str]:
    """The options at the beginning of a line, and the rest."""
    steps, is_quiet, rest = None, False, line.strip()
    while found := _OPTION.match(rest):
        if found["quiet"]:
            is_quiet = True
        elif int(found["steps"]) < 1:
            raise UsageError("%gradflow: --steps takes a number of backward passes, 1 or more")
        else:
            steps = int(found["steps"])
        rest = rest[found.end() :]
    if rest.startswith("--"):
        raise UsageError(f"%gradflow: `{printable(rest.split()[0])}` is no option; there are --steps N and --quiet")
    return steps, is_quiet, rest
