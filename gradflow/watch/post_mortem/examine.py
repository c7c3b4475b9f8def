"""From an exception to a report: which rule knows its message, and what it finds."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from importlib import metadata

import gradflow
from gradflow.diagnose.source_lines import with_source
from gradflow.record.conduct.their_exceptions import is_one, text_of
from gradflow.record.program.watching import Watch
from gradflow.report import Environment, Report, Score, Target
from gradflow.torch_facts.function_modes import unseen
from gradflow.watch.explaining import findings_in
from gradflow.watch.finding import Finding
from gradflow.watch.observing import observation_of
from gradflow.watch.post_mortem.aftermath import Aftermath, aftermath_of
from gradflow.watch.post_mortem.changed import leaf_written_to, saved_tensor_changed
from gradflow.watch.post_mortem.freed import graph_is_freed
from gradflow.watch.post_mortem.missing_grad import grad_is_none
from gradflow.watch.post_mortem.no_history import asked_of_plain_tensor, number_is_no_score, score_is_plain
from gradflow.watch.post_mortem.outside_graph import not_in_graph
from gradflow.watch.post_mortem.refused import checkpoint_refuses, inference_tensor, no_scalar

__all__ = ["findings_about", "report_about"]

_Rule = Callable[[Aftermath], tuple[Finding, ...]]
_Kinds = tuple[type[BaseException], ...]
_RULES: tuple[tuple[_Kinds, str, _Rule], ...] = (
    ((RuntimeError,), "does not require grad and does not have a grad_fn", score_is_plain),
    ((RuntimeError,), "One of the differentiated Tensors does not require grad", asked_of_plain_tensor),
    ((RuntimeError,), "can't retain_grad on Tensor that has requires_grad=False", asked_of_plain_tensor),
    ((RuntimeError,), "cannot register a hook on a tensor that doesn't require gradient", asked_of_plain_tensor),
    ((RuntimeError,), "appears to not have been used in the graph", not_in_graph),
    ((RuntimeError,), "Trying to backward through the graph a second time", graph_is_freed),
    ((RuntimeError,), "has been modified by an inplace operation", saved_tensor_changed),
    ((RuntimeError,), "leaf Variable that requires grad is being used in an in-place operation", leaf_written_to),
    ((RuntimeError,), "grad can be implicitly created only for scalar outputs", no_scalar),
    ((RuntimeError,), "Inference tensors cannot be saved for backward", inference_tensor),
    ((RuntimeError,), "Setting requires_grad=True on inference tensor", inference_tensor),
    ((RuntimeError,), "torch.utils.checkpoint is incompatible", checkpoint_refuses),
    ((RuntimeError,), "Checkpointing is not compatible with", checkpoint_refuses),
    ((AttributeError,), "object has no attribute 'backward'", number_is_no_score),
    ((AttributeError, TypeError), "NoneType", grad_is_none),
)
"""What torch says, and who knows about it."""

_CAUSES = 5


def findings_about(error: BaseException) -> tuple[Finding, ...]:
    """What can be said of an exception of autograd; nothing about any other exception."""
    for one in _chain(error):
        found = _findings(one)
        if found:
            return found
    return ()


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, and those that it was raised from."""
    one: BaseException | None = error
    for _ in range(_CAUSES):
        if one is None:
            return
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _findings(error: BaseException) -> tuple[Finding, ...]:
    message = text_of(error)
    for kinds, said, rule in _RULES:
        if is_one(error, *kinds) and said in message:
            with unseen(), aftermath_of(error) as after:
                found = rule(after)
            if found:
                return found
    if not is_one(error, RuntimeError, AttributeError):
        return ()
    watch = Watch()
    watch.note_failure(error)
    return findings_in(observation_of(watch))


def report_about(error: BaseException) -> Report:
    """The report; without findings where the exception is not one of autograd's, and it says so."""
    found = findings_about(error)
    first = found[0] if found else None
    said = " ".join(text_of(error).split())
    shown = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return Report(
        verdict=first.verdict if first is not None else "error",
        target=Target(
            name=(first.target or "the parameters") if first is not None else "the program",
            kind="parameter" if first is not None and first.is_parameter else "layer",
        ),
        score=Score(description=(first.score.strip("`") if first is not None else "") or "the score"),
        diagnostics=tuple(with_source(one.diagnostic) for one in found),
        environment=Environment(
            torch=metadata.version("torch"),
            python=platform.python_version(),
            gradflow=gradflow.__version__,
            watched="nothing; read from the exception, its frames, the source and autograd's graph",
        ),
        undetermined=() if found else (f"`{shown}` is no exception of autograd that gradflow knows",),
    )
