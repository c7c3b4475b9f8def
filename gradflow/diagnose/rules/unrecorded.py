"""GF109, GF110, GF114: nothing is cut, but autograd never had a reason to follow the target."""

from __future__ import annotations

from collections.abc import Sequence

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Diagnostic, Help, Repair
from gradflow.diagnose.groups.freezing import in_code
from gradflow.diagnose.score_path import score_path
from gradflow.graph.dependence import is_differentiable
from gradflow.graph.ways_to_score import leaves_before
from gradflow.location import SourceSpan
from gradflow.probe.evidence import Evidence
from gradflow.recording import Recording

__all__ = ["nothing_requires_grad"]


def nothing_requires_grad(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """The target's value does not require grad, and nothing before it does."""
    if not evidence.call_count or any(m.arrived for m in evidence.measured):
        return ()
    if evidence.kind == "parameter":
        # also where it was recorded, and frozen afterwards; a line of the run that freezes it is a cut, told as one
        is_told = evidence.source.cause == "requires-grad-off"
        return (_not_trainable(evidence),) if not evidence.is_trainable and not is_told else ()
    if evidence.source.recorded:
        return ()
    if evidence.source.cause == "integer-input":
        return (_integer(evidence),)
    if evidence.source.cause != "nothing-requires-grad":
        return ()
    return (_nothing(evidence),)


def _repair(evidence: Evidence, text: str) -> Repair:
    outcome = evidence.repaired_together
    if outcome is None or not outcome.tried:
        reason = outcome.reason if outcome is not None else "it was not needed for the verdict"
        return Repair(description=text, outcome=f"not tried: {reason}")
    if outcome.arrived and not outcome.l2_norm:
        return Repair(description=text, verified=False, outcome="a gradient of exactly zero comes then")
    if outcome.arrived:
        return Repair(
            description=text,
            verified=True,
            outcome=f"the gradient then reaches `{evidence.target}`, L2 norm {outcome.l2_norm:.3g}",
        )
    return Repair(description=text, verified=False, outcome="still no gradient")


def _nothing(evidence: Evidence) -> Diagnostic:
    frozen = evidence.source.frozen_parameters
    own = [name for name in frozen if name.startswith(f"{evidence.target}.")]
    notes = [
        "autograd records an operation only when one of its inputs requires grad; here none does, so no graph is built"
    ]
    if frozen:
        example = (own or list(frozen))[0]
        notes.append(f"{len(frozen)} frozen parameter{'s' * (len(frozen) != 1)} up to here, among them `{example}`")
    location = evidence.frozen_at or _call_site(evidence)
    if location is None:
        notes.append(
            "where the parameters were frozen is not determined, because gradflow did not see the model being built"
        )
    label = "frozen here" if evidence.frozen_at is not None else "nothing up to here requires grad"
    return Diagnostic(
        code=code_of("nothing-requires-grad"),
        name="nothing-requires-grad",
        severity="error",
        message=f"no gradient is recorded at `{evidence.target}`: nothing at or before it requires grad",
        location=location,
        label=label,
        module=evidence.module,
        path=score_path(evidence),
        notes=tuple(notes),
        helps=_ways_to_record(evidence, own, frozen),
        hides=(evidence.target,),
    )


def _ways_to_record(evidence: Evidence, own: Sequence[str], frozen: Sequence[str]) -> tuple[Help, ...]:
    helps = []
    if _has_real_input(evidence.recording, evidence.target):
        text = "let the input require grad, which leaves the parameters frozen: `x.requires_grad_(True)`"
        helps.append(Help(text=text, repair=_repair(evidence, text)))
    start = "or let" if helps else "let"
    if own:
        written = f"{in_code(evidence.target)}.requires_grad_(True)"
        helps.append(Help(text=f"{start} the layer's own parameters learn: `{written}`"))
    elif frozen:
        helps.append(
            Help(text=f'{start} a parameter before it learn: `model.get_parameter("{frozen[0]}").requires_grad_(True)`')
        )
    return tuple(helps)


def _has_real_input(recording: Recording, target: str) -> bool:
    """Whether an input of the model that can require grad goes into the target: integers, such as tokens, cannot."""
    leaves = leaves_before(recording, recording.layer_values.get(target, ()))
    return any(
        recording.leaf_names[leaf][0] == "input" and is_differentiable(recording.dtype_of(leaf)) for leaf in leaves
    )


def _call_site(evidence: Evidence) -> SourceSpan | None:
    calls = evidence.recording.calls_by_module.get(evidence.target, ())
    return evidence.recording.site_span(calls[-1].site) if calls else None


def _not_trainable(evidence: Evidence) -> Diagnostic:
    what = "a buffer" if evidence.is_buffer else "frozen"
    notes = [
        "a buffer never gets a gradient: it is saved with the model but not learned"
        if evidence.is_buffer
        else f"`{evidence.target}.requires_grad` is `False`, so autograd leaves it out"
    ]
    if evidence.frozen_at is None and not evidence.is_buffer:
        notes.append("where it was frozen is not determined, because gradflow did not see it happen")
    text = (
        f"register it as `nn.Parameter` if it should learn (`{evidence.target}`)"
        if evidence.is_buffer
        else f"set `requires_grad_(True)` on `{evidence.target}` after everything that freezes it"
    )
    return Diagnostic(
        code=code_of("not-trainable"),
        name="not-trainable",
        severity="error",
        message=f"`{evidence.target}` gets no gradient: it is {what}",
        location=evidence.frozen_at
        or evidence.registered_at.get(evidence.target)
        or evidence.registered_at.get(evidence.target.rpartition(".")[0]),
        label="switched off here" if evidence.frozen_at is not None else "made here",
        module=evidence.module,
        path=score_path(evidence),
        notes=tuple(notes),
        helps=(Help(text=text, repair=_repair(evidence, text)),),
        hides=(evidence.target,),
    )


def _integer(evidence: Evidence) -> Diagnostic:
    operation = evidence.source.operation
    return Diagnostic(
        code=code_of("integer-input"),
        name="integer-input",
        severity="error",
        message=f"`{evidence.target}` gives whole numbers, which cannot have a gradient",
        location=evidence.recording.span_of(operation) if operation >= 0 else _call_site(evidence),
        label="an integer result",
        module=evidence.module,
        notes=("only floating-point and complex tensors can require grad",),
        helps=(Help(text="ask for a layer whose output is floating point, such as the embedding of the ids"),),
        hides=(evidence.target,),
    )
