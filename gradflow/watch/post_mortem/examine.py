"""From an exception to a report: which rule knows its message, and what it finds."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from importlib import metadata

import gradflow
from gradflow.diagnose.source_lines import with_source
from gradflow.record.conduct.their_exceptions import is_one, text_of
from gradflow.record.program.watching import Watch
from gradflow.report import NO_TARGET, Environment, Report, Score, Target
from gradflow.torch_facts.function_modes import unseen
from gradflow.torch_facts.messages import of_backward, of_python, refusals
from gradflow.torch_facts.messages.message import Message
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
_RULES: tuple[tuple[_Kinds, Message, _Rule], ...] = (
    ((RuntimeError,), of_backward.NO_HISTORY, score_is_plain),
    ((RuntimeError,), of_backward.ASKED_OF_A_PLAIN_TENSOR, asked_of_plain_tensor),
    ((RuntimeError,), refusals.RETAIN_WITHOUT_HISTORY, asked_of_plain_tensor),
    ((RuntimeError,), refusals.HOOK_WITHOUT_HISTORY, asked_of_plain_tensor),
    ((RuntimeError,), of_backward.NOT_IN_THE_GRAPH, not_in_graph),
    ((RuntimeError,), of_backward.GRAPH_FREED, graph_is_freed),
    ((RuntimeError,), of_backward.CHANGED_IN_PLACE, saved_tensor_changed),
    ((RuntimeError,), refusals.LEAF_WRITTEN_TO, leaf_written_to),
    ((RuntimeError,), of_backward.NO_SCALAR, no_scalar),
    ((RuntimeError,), refusals.INFERENCE_TENSOR_SAVED, inference_tensor),
    ((RuntimeError,), refusals.INFERENCE_TENSOR_FLAGGED, inference_tensor),
    ((RuntimeError,), of_backward.CHECKPOINT_INCOMPATIBLE, checkpoint_refuses),
    ((RuntimeError,), of_backward.CHECKPOINT_NOT_COMPATIBLE, checkpoint_refuses),
    ((AttributeError,), of_python.NO_BACKWARD, number_is_no_score),
    ((AttributeError, TypeError), of_python.IS_NONE, grad_is_none),
)
"""What torch says, and who knows about it."""


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
    seen: set[int] = set()  # a program may have made a circle of them
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _findings(error: BaseException) -> tuple[Finding, ...]:
    message = text_of(error)
    for kinds, said, rule in _RULES:
        if is_one(error, *kinds) and said.is_in(message):
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
            name=(first.target or "the parameters") if first is not None else NO_TARGET,
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
