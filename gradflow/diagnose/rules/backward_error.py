"""GF501 and others: backward itself raised."""

from __future__ import annotations

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.diagnose.written import written
from gradflow.probe.evidence import BackwardError, Evidence

__all__ = ["backward_raised"]


def backward_raised(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """Name the cause behind the exception that autograd raised."""
    error = evidence.backward_error
    if error is None:
        return ()
    if "modified by an inplace operation" in error.message:
        return (_inplace(evidence, error),)
    if "checkpoint" in error.message.lower():
        return (
            _simple(
                evidence,
                error,
                "reentrant-checkpoint",
                "reentrant checkpointing does not work with `torch.autograd.grad`",
                "call `checkpoint(..., use_reentrant=False)`",
            ),
        )
    if "second time" in error.message:
        return (
            _simple(
                evidence,
                error,
                "graph-freed",
                "the model keeps a tensor of an earlier pass whose graph is freed already",
                "detach what is carried from one pass to the next, or run the parts in one pass",
            ),
        )
    if error.span is not None:
        return (
            _simple(
                evidence,
                error,
                "custom-function",
                "a custom backward raised",
                "mend the `backward` of this `autograd.Function`",
            ),
        )
    if error.saver >= 0:
        name = written(evidence.trace.name_of(error.saver))
        return (
            _simple(
                evidence,
                error,
                "backward-raised",
                f"torch has no derivative for `{name}`",
                f"use differentiable operations instead of `{name}`, or `.detach()` it where no gradient is wanted",
            ),
        )
    return (
        _simple(evidence, error, "backward-raised", "backward raised", "mend what torch says above, then check again"),
    )


def _inplace(evidence: Evidence, error: BackwardError) -> Diagnostic:
    trace = evidence.trace
    writer = trace.span_of(error.writer) if error.writer >= 0 else None
    saver = trace.span_of(error.saver) if error.saver >= 0 else None
    notes = [f"torch says: {error.message.split('. Hint')[0]}"]
    if error.saver >= 0:
        notes.insert(
            0,
            f"`{written(trace.name_of(error.saver))}` keeps this tensor for its backward (`{error.node}`), "
            "and finds other numbers in it when backward runs",
        )
    if writer is None:
        notes.append("which line changed it is not determined, because the change was not seen by the recorder")
    annotations: tuple[Annotation, ...] = ()
    if saver is not None and writer is not None:
        annotations = (Annotation(span=saver, label=f"`{written(trace.name_of(error.saver))}` saved the tensor here"),)
    changed = written(trace.name_of(error.writer)) if error.writer >= 0 else ""
    return Diagnostic(
        code=code_of("inplace-modification"),
        name="inplace-modification",
        severity="error",
        message="backward cannot run: a tensor that it needs was changed in place",
        location=writer or saver,
        label=f"changed in place here (`{changed}`)" if changed else "saved here",
        annotations=annotations,
        module=trace.module_of(error.writer if error.writer >= 0 else error.saver)
        if max(error.writer, error.saver) >= 0
        else "",
        notes=tuple(notes),
        helps=(
            Help(text="write the result to a new tensor instead, for example `y = torch.cat(...)` or `y = y * 2`"),
            Help(text="or change a copy: `.clone()` before this line"),
        ),
        hides=(evidence.target,),
    )


def _simple(evidence: Evidence, error: BackwardError, name: str, message: str, advice: str) -> Diagnostic:
    span = error.span or (evidence.trace.span_of(error.saver) if error.saver >= 0 else None)
    notes = [f"torch says: {error.type_name}: {error.message}"]
    if span is None:
        notes.append("the line is not determined, because the exception does not tell which operation it belongs to")
    return Diagnostic(
        code=code_of(name),
        name=name,
        severity="error",
        message=f"no gradient reaches `{evidence.target}`: {message}",
        location=span,
        label="here",
        notes=tuple(notes),
        helps=(Help(text=advice),),
        hides=(evidence.target,),
    )
