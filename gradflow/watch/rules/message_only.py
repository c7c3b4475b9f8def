"""GF503: an exception of autograd of which nothing but the message is known."""

from __future__ import annotations

from gradflow.torch_facts.messages import of_backward, refusals
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["message_only"]

_MEANINGS = (
    (
        of_backward.NO_HISTORY,
        "backward is called on a tensor without any history",
        "the score was computed under `no_grad`, or from detached or frozen tensors, or it is an index or a count",
    ),
    (
        of_backward.ASKED_OF_A_PLAIN_TENSOR,
        "a gradient is asked of a tensor without any history",
        "that tensor was detached, made under `no_grad`, or made from nothing that requires grad",
    ),
    (
        of_backward.NOT_IN_THE_GRAPH,
        "a gradient is asked of a tensor that the score was not computed from",
        "often it was captured in another forward pass than the one that made the score",
    ),
    (
        of_backward.CHANGED_IN_PLACE,
        "a tensor that backward needs was changed in place",
        "an operation such as `+=` or `ReLU(inplace=True)`, or an optimizer step between forward and backward",
    ),
    (
        of_backward.GRAPH_FREED,
        "the graph is gone: an earlier backward has freed it",
        "pass `retain_graph=True` to all but the last backward, or detach what is carried from step to step",
    ),
    (
        refusals.HOOK_WITHOUT_HISTORY,
        "a hook is registered on a tensor without any history",
        "it was made under `no_grad`, detached, or computed from nothing that requires grad",
    ),
    (
        refusals.RETAIN_WITHOUT_HISTORY,
        "`retain_grad()` is called on a tensor without any history",
        "it was made under `no_grad`, detached, or computed from nothing that requires grad",
    ),
    (
        of_backward.NO_SCALAR,
        "backward is called on a tensor with more than one element",
        "choose one element, or reduce it: `score[0, 3].backward()`, `loss.mean().backward()`",
    ),
)


_RECORD_IT = (
    "for the line that is to blame, run the program with `gradflow run`",
    "or put forward and backward inside `with gradflow.explain():`",
)


def message_only(observation: Observation) -> tuple[Finding, ...]:
    """What torch's message means, where a recording is wanting, or does not tell."""
    is_recorded = bool(len(observation.recording))
    for failure in observation.program.failures:
        for said, message, why in _MEANINGS:
            if said.is_in(failure.message):
                return (
                    finding(
                        "backward-raised",
                        "error",
                        message,
                        failure.span,
                        label="raised here",
                        notes=(
                            why,
                            f"torch says: {failure.message.split('. ')[0]}",
                            *(("which line is to blame is not determined",) if is_recorded else ()),
                        ),
                        helps=() if is_recorded else _RECORD_IT,
                        rank=0,
                        operation=failure.operation,
                    ),
                )
    return ()
