"""What to say of a place at which a history ends."""

from __future__ import annotations

from collections.abc import Sequence

from gradflow.diagnose.cause_texts import text_for
from gradflow.diagnose.verdict import Verdict
from gradflow.location import SourceSpan
from gradflow.watch.finding import Finding, finding
from gradflow.watch.post_mortem.trail import Loss

__all__ = ["MORE", "loss_findings"]

MORE = (
    "for what happened before, run the program with `gradflow run`",
    "or put forward and backward inside `with gradflow.explain():`",
)
_LIKELY = "likely, not proven: this was read from the source, and the values that it had then are gone"
_SHOWN = 3


def loss_findings(
    losses: Sequence[Loss],
    message: str,
    asked: SourceSpan | None,
    *,
    target: str = "",
    score: str = "",
    verdict: Verdict = "broken",
    facts: Sequence[str] = (),
) -> tuple[Finding, ...]:
    """One finding for each place, proven ones first; ``message`` is the symptom, ``asked`` where it showed.

    Only the proven ones are told where there are some: what is only likely adds nothing then.
    """
    proven = [loss for loss in losses if loss.is_proven]
    kept = {(loss.span, loss.cause): loss for loss in reversed(proven or list(losses))}
    ordered = list(reversed(kept.values()))
    known = [loss for loss in ordered if loss.cause] or ordered
    return tuple(
        _finding(loss, message, asked, target=target, score=score, verdict=verdict, facts=facts if not i else ())
        for i, loss in enumerate(known[:_SHOWN])
    )


def _finding(
    loss: Loss,
    message: str,
    asked: SourceSpan | None,
    *,
    target: str,
    score: str,
    verdict: Verdict,
    facts: Sequence[str],
) -> Finding:
    annotations = (
        (loss.source_span if loss.source else None, f"`{loss.source}` still had a history"),
        (asked, "it is asked for here"),
    )
    if not loss.cause:
        inside = f" inside `{loss.called}`" if loss.called else ""
        now = "" if loss.is_proven else " by now"
        since = () if loss.is_proven else ("`requires_grad` was switched since, so it may have been off in this line",)
        return finding(
            "backward-raised",
            verdict,
            f"{message}: its history ends in this line{inside}",
            loss.span,
            label=f"what goes in has a history{now}, `{loss.result}` has none",
            annotations=annotations,
            notes=(
                f"which line{inside or ' of it'} is not determined, because its values are gone by now",
                *since,
                *facts,
            ),
            helps=MORE,
            severity="error" if loss.is_proven else "warning",
            target=target,
            score=score,
            rank=0,
        )
    if loss.cause == "requires-grad-too-late":
        label = "too late: what came before is not recorded afterwards"
        notes: tuple[str, ...] = ("the flag does not bring back a history that was never recorded",)
        helps: tuple[str, ...] = ("switch it on before the forward",)
        annotations = ((loss.source_span, "computed here, while the flag was off"), (asked, "it is asked for here"))
    elif loss.cause == "hook-detach":
        label = "this hook keeps a copy without history"
        notes = ("the copy has the same numbers, but it is not the tensor that the score was computed from",)
        helps = (f"keep the output itself: `{loss.source}` without `.detach()`",)
    elif loss.cause == "graph-freed":
        label = "without `create_graph=True` the result is a plain number"
        notes = ("the first derivative is a new tensor without history, unless autograd is told to record it",)
        helps = ("pass `create_graph=True` here, so that the gradient can be differentiated again",)
    else:
        text = text_for(loss.cause, loss.operation)
        label, notes, helps = text.label, (text.note,), text.helps
    return finding(
        loss.cause,
        "error" if loss.cause == "graph-freed" else verdict,
        f"{message}: {_ENDS[loss.cause]}",
        loss.span,
        label=label,
        annotations=annotations,
        notes=(*notes, *facts) if loss.is_proven else (*notes, *facts, _LIKELY),
        helps=helps if loss.is_proven else (*helps, MORE[0]),
        severity="error" if loss.is_proven else "warning",
        target=target,
        score=score,
        rank=0,
    )


_ENDS = {
    "detach": "it was detached from what it was computed from",
    "no-grad": "it was computed while recording was off",
    "inference-mode": "it was computed in inference mode",
    "numpy-roundtrip": "the value left torch on the way",
    "tensor-rewrap": "its numbers were copied into a new tensor",
    "nondiff-op": "it comes from an operation without a derivative",
    "requires-grad-too-late": "`requires_grad` was switched on after it had been computed",
    "graph-freed": "it is a gradient, and was computed without a graph of its own",
    "reentrant-checkpoint": "it comes out of a reentrant checkpoint, whose inputs do not require grad",
    "hook-detach": "the hook kept a copy without history",
}
