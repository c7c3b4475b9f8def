"""What is told of parameters that got no gradient in this run and that get one in runs of another kind."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.diagnostic import Diagnostic, Help
from gradflow.probe.audit_evidence import GroupCause
from gradflow.spelled import Spelled

__all__ = ["in_other_runs"]

_AS_TRAINED = Spelled(
    "audit the model as it is trained: `--train`", in_python='audit the model as it is trained: `mode="train"`'
)


def in_other_runs(found: Diagnostic, cause: GroupCause) -> Diagnostic:
    """The finding about a group in one run, with what became of the group in train mode, by other draws and values."""
    if cause.drawn_count:
        return _by_chance(found, cause.drawn_count)
    if cause.trained_count:
        return _in_eval_mode_only(found, cause.trained_count)
    if cause.for_values_count:
        return _for_other_values(found, cause.for_values_count)
    if found.severity == "error" and cause.redraw_count:
        return _perhaps_by_chance(found, cause.redraw_count)
    if found.severity == "error" and cause.retry_count:
        return _perhaps_for_other_values(found, cause.retry_count)
    return found


def _by_chance(found: Diagnostic, count: int) -> Diagnostic:
    return _left_out(
        found,
        count,
        _in_this_run(found),
        why="a random draw left it out this time, as layer drop does",
        tried="in runs that draw other numbers",
    )


def _for_other_values(found: Diagnostic, count: int) -> Diagnostic:
    return _left_out(
        found,
        count,
        _for_this_input(found),
        why="the values of this input left it out",
        tried="for other values of the input",
    )


def _left_out(found: Diagnostic, count: int, message: str, *, why: str, tried: str) -> Diagnostic:
    """So many of the group get a gradient in other runs: nothing is to be mended for these."""
    is_all = count == len(found.hides)
    of_them = "all" if is_all else str(count)
    return replace(
        found,
        severity="info" if is_all else "warning",
        message=message,
        notes=(why, f"tried: {tried} {of_them} of them get one"),
        helps=(),
        path=(),
    )


def _perhaps_by_chance(found: Diagnostic, redraw_count: int) -> Diagnostic:
    note = (
        "whether a random draw leaves it out is not determined: the run draws numbers that Python sees; tried: in "
        f"{redraw_count} runs that draw others it got none either"
    )
    return replace(found, severity="warning", message=_in_this_run(found), notes=(*found.notes, note), path=())


def _perhaps_for_other_values(found: Diagnostic, retry_count: int) -> Diagnostic:
    note = (
        "whether the values of this input leave it out is not determined: others beside it run for some values and not "
        f"for others; tried: for {retry_count} other values of the input it got none either"
    )
    notes = (*found.notes, note)
    return replace(found, severity="warning", message=_for_this_input(found), notes=notes, helps=(), path=())


def _in_eval_mode_only(found: Diagnostic, trained_count: int) -> Diagnostic:
    of_them = "all" if trained_count == len(found.hides) else str(trained_count)
    return replace(
        found,
        severity="warning",
        message=found.message.replace(" no gradient", " no gradient in eval mode"),
        notes=(*found.notes, f"tried: in train mode {of_them} of them get one"),
        helps=(Help(text=_AS_TRAINED),),
        path=(),
    )


def _in_this_run(found: Diagnostic) -> str:
    return found.message.replace(" no gradient", " no gradient in this run")


def _for_this_input(found: Diagnostic) -> str:
    return found.message.replace(" no gradient", " no gradient for this input").replace(" never ran", " did not run")
