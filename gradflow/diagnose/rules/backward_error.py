"""GF501 and others: backward itself raised."""

from __future__ import annotations

from dataclasses import dataclass

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.probe.evidence import BackwardError, Evidence
from gradflow.torch_facts.messages import of_backward
from gradflow.torch_facts.operations.writing import written

__all__ = ["backward_raised"]


def backward_raised(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """Name the cause behind the exception that autograd raised."""
    error = evidence.backward_error
    if error is None:
        return ()
    said = "" if error.is_own_raise else error.message
    if of_backward.CHANGED_IN_PLACE.is_in(said):
        return (_inplace(evidence, error),)
    if of_backward.speaks_of_checkpoints(said):
        words = _Words(
            name="reentrant-checkpoint",
            message="reentrant checkpointing does not work with `torch.autograd.grad`",
            label="checkpointed here",
            help="call `checkpoint(..., use_reentrant=False)`",
        )
    elif error.freer is not None:
        words = _Words(
            name="graph-freed",
            message="a gradient that the model takes itself frees the graph",
            label="frees what the score needs for its backward",
            help="pass `retain_graph=True` to this call, or compute anew what the score is made from",
            note="tried: with `retain_graph=True` here, the backward from the score runs",
        )
    elif of_backward.GRAPH_FREED.is_in(said) and error.saver < 0:
        words = _Words(
            name="graph-freed",
            message="a part of its graph is freed already",
            label="",
            help="find the backward that ran through it before: in an earlier pass, or in the model's own `forward`",
        )
    elif of_backward.GRAPH_FREED.is_in(said):
        words = _Words(
            name="graph-freed",
            message="the model keeps a tensor of an earlier pass, whose graph is freed already",
            label="reads a tensor that an earlier pass left behind",
            help="detach what is carried from one pass to the next, or run the parts in one pass",
        )
    elif error.span is not None and not error.is_of_function:
        words = _Words(
            name="backward-raised",
            message="code that backward calls raised, such as a hook",
            label="raised here",
            help="mend this code, or take the hook off",
        )
    elif error.span is not None:
        words = _Words(
            name="custom-function",
            message="a custom backward raised",
            label="raised here",
            help="mend the `backward` of this `autograd.Function`",
        )
    elif error.lacks_for_an_input:
        name = written(evidence.recording.name_of(error.saver))
        words = _Words(
            name="backward-raised",
            message=f"torch has no derivative for an input of `{name}`",
            label="torch cannot differentiate this operation in every input",
            help=f"use differentiable operations instead of `{name}`, or `.detach()` that input where no gradient is "
            "wanted",
        )
    elif error.saver >= 0 and not (error.lacks_derivative or error.type_name == "NotImplementedError"):
        words = _Words(
            name="backward-raised",
            message=f"backward raised at `{written(evidence.recording.name_of(error.saver))}`",
            label="backward stopped at this operation",
            help="mend what torch says above, then check again",
        )
    elif error.saver >= 0:
        name = written(evidence.recording.name_of(error.saver))
        words = _Words(
            name="backward-raised",
            message=f"torch has no derivative for `{name}`" + ("" if error.lacks_derivative else " as it is used here"),
            label="torch cannot differentiate this operation",
            help=f"use differentiable operations instead of `{name}`, or `.detach()` it where no gradient is wanted",
        )
    else:
        words = _Words(
            name="backward-raised",
            message="backward raised",
            label="",
            help="mend what torch says above, then check again",
        )
    return (_diagnostic(evidence, error, words),)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    name: str
    message: str
    label: str
    help: str
    note: str = ""


def _inplace(evidence: Evidence, error: BackwardError) -> Diagnostic:
    recording = evidence.recording
    writer = recording.span_of(error.writer) if error.writer >= 0 else None
    saver = recording.span_of(error.saver) if error.saver >= 0 else None
    notes = [f"torch says: {error.message.split('. Hint')[0]}"]
    if error.saver >= 0:
        notes.insert(
            0,
            f"`{written(recording.name_of(error.saver))}` keeps this tensor for its backward (`{error.node}`), "
            "and finds other numbers in it when backward runs",
        )
    if writer is None:
        notes.append("which line changed it is not determined, because the change was not seen by the recorder")
    annotations: tuple[Annotation, ...] = ()
    if saver is not None and writer is not None:
        annotations = (
            Annotation(span=saver, label=f"`{written(recording.name_of(error.saver))}` saved the tensor here"),
        )
    changed = written(recording.name_of(error.writer)) if error.writer >= 0 else ""
    return Diagnostic(
        code=code_of("inplace-modification"),
        name="inplace-modification",
        severity="error",
        message="backward cannot run: a tensor that it needs was changed in place",
        location=writer or saver,
        label=f"changed in place here (`{changed}`)" if changed else "saved here",
        annotations=annotations,
        module=recording.module_of(error.writer if error.writer >= 0 else error.saver)
        if max(error.writer, error.saver) >= 0
        else "",
        notes=tuple(notes),
        helps=(
            Help(text="write the result to a new tensor instead, for example `y = torch.cat(...)` or `y = y * 2`"),
            Help(text="or change a copy: `.clone()` before this line"),
        ),
        hides=(evidence.target,),
    )


def _diagnostic(evidence: Evidence, error: BackwardError, words: _Words) -> Diagnostic:
    span = error.span or error.freer or (evidence.recording.span_of(error.saver) if error.saver >= 0 else None)
    notes = [words.note] if words.note else []
    who = "the exception" if error.is_own_raise else "torch"
    notes.append(f"{who} says: {error.type_name}: {error.message.partition('. ')[0]}")
    if span is None:
        notes.append("the line is not determined, because the exception does not tell which operation it belongs to")
    return Diagnostic(
        code=code_of(words.name),
        name=words.name,
        severity="error",
        message=f"no gradient reaches `{evidence.target}`: {words.message}",
        location=span,
        label=words.label,
        notes=tuple(notes),
        helps=(Help(text=words.help),),
        hides=(evidence.target,),
    )
