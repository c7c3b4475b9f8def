"""Every exception gradflow raises on purpose.

One root, :class:`GradflowError`; each carries what a person needs to act: a stable ``reference``, the ``message``, an
optional ``note`` (why) and ``hint`` (what to do next). The command line prints these and exits with status 2.
"""

from __future__ import annotations

import traceback

from gradflow.printable import inert, printable_prose
from gradflow.spelled import Spelled


class GradflowError(Exception):
    """A request that could not be carried out.

    Parameters
    ----------
    message
        What went wrong, one sentence, lower-case start, no final stop.
    note
        Context: why it went wrong. Optional.
    hint
        What to do about it, as an instruction. Optional. Where options of the command line are named, a
        :class:`~gradflow.spelled.Spelled`: the command line prints the parts, and in Python an exception is shown as a
        whole.
    """

    reference = "gradflow-error"

    def __init__(self, message: str, *, note: str = "", hint: str = "") -> None:
        # what is quoted in them comes from files and command lines, and an exception may be shown by anybody
        self.message = printable_prose(message)
        self.note = printable_prose(note)
        self.hint = printable_prose(hint)
        self.hint_in_python = printable_prose(hint.in_python) if isinstance(hint, Spelled) else self.hint
        super().__init__(self.message)

    def __str__(self) -> str:
        lines = [self.message]
        if self.note:
            lines.append(f"note: {self.note}")
        if self.hint_in_python:
            lines.append(f"help: {self.hint_in_python}")
        return inert("\n".join(lines))


class UsageError(GradflowError):
    """The command line or the arguments of a function do not make sense together."""

    reference = "usage"


class LoadError(GradflowError):
    """The model, its input or its score could not be obtained."""

    reference = "load"


class UntrustedFileError(LoadError):
    """A file would have to run code to be loaded, and the user has not said ``--trust``."""

    reference = "untrusted-file"


class LayerNotFoundError(GradflowError):
    """No module or parameter has the name that was asked for."""

    reference = "layer-not-found"


class ScoreError(GradflowError):
    """No scalar score could be made from the model's output."""

    reference = "score"


class ModelRaisedError(GradflowError):
    """The model itself raised while it ran forward; the original exception is the ``__cause__``."""

    reference = "model-raised"


class RenderError(GradflowError):
    """A report could not be drawn or written."""

    reference = "render"


class NoSpatialAxesError(GradflowError):
    """A class activation map was asked of a layer whose output has no height and width to lay it out on."""

    reference = "no-spatial-axes"


class InternalError(GradflowError):
    """A mistake of gradflow itself; what was raised is the ``__cause__``."""

    reference = "internal"


def unexpected(error: BaseException) -> GradflowError:
    """What the user is told of an exception that gradflow did not expect from its own code."""
    told = _without_room(error) or _mistake(error)
    told.__cause__ = error
    return told


def _without_room(error: BaseException) -> GradflowError | None:
    """Where the process had no room for gradflow, that is nobody's mistake."""
    if isinstance(error, RecursionError):
        return GradflowError(
            "the model calls itself so deeply that Python's stack has no room left to follow it",
            note="following a model takes some more frames for each module within another",
            hint="allow a deeper stack, with `sys.setrecursionlimit(10_000)` where the model is built",
        )
    if isinstance(error, MemoryError):
        return GradflowError(
            "there is not enough memory",
            note="beside what the model takes, gradflow keeps what a run changes, and a row for each operation",
            hint=Spelled("give a smaller input, for example with `--input-shape`", in_python="give a smaller input"),
        )
    return None


def _mistake(error: BaseException) -> InternalError:
    text = str(error).strip()
    return InternalError(
        f"a mistake of gradflow, not of your code: {type(error).__name__}{f': {text}' if text else ''}",
        note=_origin(error),
        hint=Spelled(
            "please report it with what `gradflow --version` says, the command or call, and the traceback, which "
            "`--debug` shows",
            in_python="please report it with `gradflow.__version__`, the call, and the traceback",
        ),
    )


def _origin(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    last = frames[-1]
    return f"raised at {last.filename}:{last.lineno}: {(last.line or '').strip()}"
