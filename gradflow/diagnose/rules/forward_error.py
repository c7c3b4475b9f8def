"""GF103, GF104, GF107, GF114, GF501, GF502: autograd refused an operation already in the forward pass."""

from __future__ import annotations

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.location import SourceSpan
from gradflow.probe.evidence import Evidence
from gradflow.record.failure import ForwardFailure
from gradflow.torch_facts.messages import of_backward, refusals
from gradflow.torch_facts.messages.message import Message

__all__ = ["forward_refused", "is_refusal"]

_REFUSALS: dict[Message, tuple[str, str, str, str]] = {
    # what torch says: rule, label, why, what to do
    refusals.INFERENCE_TENSOR_SAVED: (
        "inference-mode",
        "everything computed in here can never take part in autograd",
        "a tensor made under `torch.inference_mode()` met an operation recorded for backward, which torch refuses",
        "remove `torch.inference_mode()` around this part of the model",
    ),
    refusals.INFERENCE_TENSOR_WRITTEN_TO: (
        "inference-mode",
        "everything computed in here can never take part in autograd",
        "a tensor made under `torch.inference_mode()` is changed in place outside of it, which torch refuses",
        "remove `torch.inference_mode()` around this part of the model",
    ),
    refusals.FLAG_OF_A_COMPUTED_TENSOR: (
        "requires-grad-off",
        "`requires_grad` of a computed tensor cannot be switched off",
        "a computed tensor has a history, and dropping it by setting a flag is not allowed",
        "remove this line; where the history is really not wanted, use `.detach()`",
    ),
    refusals.WHOLE_NUMBERS: (
        "integer-input",
        "an integer tensor cannot require grad",
        "only floating-point and complex tensors can have a gradient",
        "ask for the gradient of a floating-point tensor, such as the embedding of the ids",
    ),
    # also in the words about a leaf itself
    refusals.VIEW_OF_LEAF_WRITTEN_TO: (
        "inplace-modification",
        "changed in place here",
        "a view of a parameter (or another leaf that requires grad) is changed in place while gradients are recorded",
        "write the result to a new tensor; an update of the weights belongs under `torch.no_grad()`",
    ),
    refusals.LEAF_WRITTEN_TO: (
        "inplace-modification",
        "changed in place here",
        "a parameter (or another leaf that requires grad) is changed in place while its gradient is recorded",
        "write the result to a new tensor; an update of the weights belongs under `torch.no_grad()`",
    ),
    refusals.VIEW_WRITTEN_TO: (
        "inplace-modification",
        "changed in place here",
        "a view that autograd cannot trace back is changed in place",
        "change a copy: `.clone()` before this line",
    ),
    refusals.NUMPY_OF_HISTORY: (
        "numpy-roundtrip",
        "the value would leave torch here",
        "NumPy does not record history, so torch refuses to hand over a value that has one",
        "do this computation with torch operations; `.detach()` would only hide that the gradient ends here",
    ),
    of_backward.GRAPH_FREED: (
        "graph-freed",
        "runs through a graph whose buffers are freed",
        "the forward itself runs backward, through values that another backward ran through before",
        "pass `retain_graph=True` to the first of the two, or detach what is carried from one pass to the next",
    ),
}


def is_refusal(failure: ForwardFailure) -> bool:
    """Whether autograd refused an operation of the forward; the model may raise for a reason of its own."""
    return not failure.is_own_raise and any(said.is_in(failure.message) for said in _REFUSALS)


def forward_refused(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """The forward pass itself raised, and the reason lies in autograd."""
    failure = evidence.forward_failure
    if failure is None or not is_refusal(failure):
        return ()
    for said, (name, label, why, advice) in _REFUSALS.items():
        if not said.is_in(failure.message):
            continue
        region = _last_inference_region(evidence) if name == "inference-mode" else None
        location = region or failure.span
        annotations: tuple[Annotation, ...] = ()
        if region is not None and failure.span is not None and failure.span != region:
            annotations = (Annotation(span=failure.span, label="torch refuses here"),)
        return (
            Diagnostic(
                code=code_of(name),
                name=name,
                severity="error",
                message=f"no gradient reaches `{evidence.target}`: autograd refuses the forward pass",
                location=location,
                label=label if region is not None or name != "inference-mode" else "torch refuses here",
                annotations=annotations,
                notes=(why, f"torch says: {failure.type_name}: {failure.message}"),
                helps=(Help(text=advice),),
                hides=(evidence.target,),
            ),
        )
    return ()


def _last_inference_region(evidence: Evidence) -> SourceSpan | None:
    recording = evidence.recording
    columns = recording.operations
    for operation in range(len(recording) - 1, -1, -1):
        if columns.mode[operation] == 2:
            return recording.site_span(columns.region[operation])
    return None
