"""An exception that the user's model raised, and where."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

from gradflow.errors import ModelRaisedError
from gradflow.location import SourceSpan, is_installed, is_machinery, span_of
from gradflow.record.conduct.raised_by import is_own_raise
from gradflow.record.conduct.whose_error import is_ours, our_error
from gradflow.source_place import place
from gradflow.spelled import Spelled

__all__ = ["ForwardFailure", "failure_of", "innermost_place", "model_raised", "way_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardFailure:
    """What stopped a forward pass; ``span`` is the innermost line of the user's, else the innermost outside torch.

    ``is_own_raise`` where a ``raise`` of the program made it.
    """

    error: Exception
    type_name: str
    message: str
    span: SourceSpan | None
    is_own_raise: bool = False


def failure_of(error: Exception) -> ForwardFailure:
    """Describe an exception from its traceback.

    Raises
    ------
    GradflowError
        When it is not the model's but one of gradflow's own code that torch called (see
        :mod:`gradflow.record.conduct.whose_error`).
    """
    if is_ours(error):
        raise our_error(error)
    return ForwardFailure(
        error=error,
        type_name=type(error).__name__,
        message=str(error).strip().splitlines()[0] if str(error).strip() else "",
        span=innermost_place(error.__traceback__),
        is_own_raise=is_own_raise(error),
    )


def innermost_place(traceback: TracebackType | None) -> SourceSpan | None:
    """The innermost line of the user's in a traceback, else the innermost outside torch, gradflow and Python itself."""
    innermost: SourceSpan | None = None
    users: SourceSpan | None = None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not is_machinery(code.co_filename):
            innermost = span_of(code, traceback.tb_lasti)
            if not is_installed(code.co_filename):
                users = innermost
        traceback = traceback.tb_next
    return users or innermost


def way_of(traceback: TracebackType | None) -> tuple[SourceSpan, ...]:
    """The innermost line of the user's in a traceback, and those of their functions that called one another to it."""
    way: list[SourceSpan] = []
    is_direct = False
    while traceback is not None:
        code = traceback.tb_frame.f_code
        is_users = not is_installed(code.co_filename) and not is_machinery(code.co_filename)
        if is_users:
            way = [span_of(code, traceback.tb_lasti), *(way if is_direct else ())]
        is_direct = is_users
        traceback = traceback.tb_next
    return tuple(way)


def model_raised(failure: ForwardFailure) -> ModelRaisedError:
    """The failure of a model as an error that the user is shown."""
    where = f" at {place(failure.span)} in {failure.span.function}" if failure.span is not None else ""
    said = f": {failure.message}" if failure.message else ""
    note = "gradflow runs the model as it is; this exception comes from the model with this input"
    by_hand = "run the model once by hand with the same input"
    hint: str = Spelled(
        f"{by_hand}; `--input` or `--input-shape` gives it another one",
        in_python=f"{by_hand}; `inputs=...` gives it another one",
    )
    if isinstance(failure.error, RecursionError):
        note = (
            "following a model takes some more frames of the stack for each module within another, so one that is "
            "nested almost as deeply as Python allows raises this only here"
        )
        hint = "run the model by hand with the same input; if it runs, allow a deeper stack: `sys.setrecursionlimit`"
    error = ModelRaisedError(f"the model raised {failure.type_name} in its forward{where}{said}", note=note, hint=hint)
    error.__cause__ = failure.error
    return error
