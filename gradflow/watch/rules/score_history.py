"""GF101 to GF109: the score itself has no history."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.diagnostic import Help
from gradflow.graph.dependence import analyse
from gradflow.watch.facts.evidence import evidence_for
from gradflow.watch.facts.flags import scored
from gradflow.watch.facts.leaves import leaves_behind
from gradflow.watch.facts.naming.names import name_of_value
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.engine import engine_findings
from gradflow.watch.rules.late_flag import late_flag, too_late

__all__ = ["frozen_throughout", "score_without_history"]


def score_without_history(observation: Observation, question: Question) -> tuple[Finding, ...]:
    """The score itself does not require grad, or only because it was told to: look for what cut it off."""
    reaches = analyse(replace(observation.recording, score=question.score), ()).reaches
    late = late_flag(observation, question.score, reaches)
    symptom = () if late is None else (too_late(observation, question, late, "the score"),)
    leaves = leaves_behind(observation, question, trainable=True)
    leaves = tuple(leaf for leaf in leaves if leaf != question.score)
    wanted = question.target
    if wanted >= 0 and (wanted in leaves or _is_cut_from(observation, question)):
        leaves = (wanted,)
    else:
        leaves = _to_be_moved(observation, leaves)
    flags = [late_flag(observation, leaf, reaches) for leaf in leaves] if late is None else []
    if flags and flags[0] is not None and None not in flags:
        name, _ = name_of_value(observation, leaves[0])
        return (too_late(observation, question, flags[0], f"`{name}`"),)
    if leaves:
        forgotten = _still_frozen(observation, question) if wanted < 0 else ()
        if forgotten:
            return _in_order(symptom, forgotten)
        asked = replace(question, target=-1) if wanted not in leaves else question
        return _in_order(symptom, engine_findings(observation, question, evidence_for(observation, asked, leaves)))
    found = (*_region(observation, question), *frozen_throughout(observation, question))
    return _in_order(symptom, found or _out_of_torch(observation, question))


def _to_be_moved(observation: Observation, leaves: tuple[int, ...]) -> tuple[int, ...]:
    """Those that an optimizer holds, where there are any: nobody wants a gradient of a target network or a teacher."""
    held = {value for optimizer in observation.program.optimizers for value in optimizer.parameters}
    return tuple(leaf for leaf in leaves if leaf in held) or leaves


def _is_cut_from(observation: Observation, question: Question) -> bool:
    """Whether the tensor asked for has a history, and the score was computed from it without one."""
    recording = scored(observation, question.score, (question.target,))
    return recording.values.requires_grad[question.target] and bool(analyse(recording, (question.target,)).needed)


def _still_frozen(observation: Observation, question: Question) -> tuple[Finding, ...]:
    """Frozen parameters that an optimizer is to move, from which nothing but the freezing keeps the gradient."""
    held = {value for optimizer in observation.program.optimizers for value in optimizer.parameters}
    off = {flag.value for flag in observation.program.flags if not flag.on and not flag.error}
    frozen = tuple(leaf for leaf in leaves_behind(observation, question, trainable=False) if leaf in held & off)
    if not frozen or analyse(scored(observation, question.score, frozen), frozen).needed:
        return ()
    message = "the score has no history: parameters that an optimizer is to move are frozen"
    cure = "let them require grad again before this forward: `requires_grad_(True)`"
    return tuple(
        replace(one, diagnostic=replace(one.diagnostic, message=message, helps=(Help(text=cure),)))
        for one in frozen_throughout(observation, question)
    )


def _in_order(flagged: tuple[Finding, ...], found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """A flag on a copy is the second half of copying: ``torch.tensor(x, requires_grad=True)`` in two lines.

    Everywhere else it hides that the forward was not recorded, and is to go first; but in one statement with the cut,
    ``loss.detach().requires_grad_()``, it is no mistake of its own.
    """
    if found and flagged and _is_same_line(found[0], flagged[0]):
        return found
    is_copy = bool(found) and found[0].diagnostic.name in ("tensor-rewrap", "numpy-roundtrip")
    return (*found, *flagged) if is_copy else (*flagged, *found)


def _is_same_line(one: Finding, other: Finding) -> bool:
    here, there = one.diagnostic.location, other.diagnostic.location
    return here is not None and there is not None and (here.path, here.line) == (there.path, there.line)


def _out_of_torch(observation: Observation, question: Question) -> tuple[Finding, ...]:
    """No tensor leads to the score: perhaps plain numbers do."""
    recording = observation.recording
    trainable = tuple(
        value
        for value, (role, _) in recording.leaf_names.items()
        if role == "parameter" and observation.program.required_grad(value, before=question.backward_number)
    )
    if not trainable:
        return ()
    evidence = evidence_for(observation, replace(question, target=-1), trainable)
    return engine_findings(observation, question, evidence) if evidence.dependence.score_depends else ()


def _region(observation: Observation, question: Question) -> list[Finding]:
    """Nothing trainable is behind the score; it may have been made while recording was off besides."""
    recording = observation.recording
    leaves = set(leaves_behind(observation, question, trainable=False))
    reaches = analyse(replace(recording, score=question.score), ()).reaches
    for operation in range(len(recording)):
        mode = recording.operations.mode[operation]
        if not any(reaches[value] for value in recording.outputs_of(operation)):
            continue
        if mode in (1, 2) and any(value in leaves for value in recording.inputs_of(operation)):
            reads_parameter = any(
                recording.leaf_names.get(v, ("",))[0] == "parameter" for v in recording.inputs_of(operation)
            )
            if not reads_parameter:
                continue
            cause = "inference-mode" if mode == 2 else "no-grad"
            return [
                finding(
                    cause,
                    "broken",
                    "the score has no history: it was computed while gradient recording was off",
                    recording.site_span(recording.operations.region[operation]) or recording.span_of(operation),
                    label="gradient recording is switched off here",
                    annotations=((recording.span_of(operation), "first operation that is not recorded"),),
                    notes=("what is computed while recording is off has no history, so no gradient can flow back",),
                    helps=("run this forward with gradients on",),
                    rank=0 if question.error else 1,
                    operation=question.operation,
                )
            ]
    return []


def frozen_throughout(observation: Observation, question: Question) -> list[Finding]:
    """Parameters take part in the score, and all of them are frozen."""
    recording = observation.recording
    leaves = leaves_behind(observation, question, trainable=False)
    frozen = [value for value in leaves if recording.leaf_names.get(value, ("",))[0] == "parameter"]
    flags = [flag for flag in observation.program.flags if flag.value in frozen and not flag.on and not flag.error]
    if not frozen:
        return []
    held = {value for optimizer in observation.program.optimizers for value in optimizer.parameters}
    cure = (
        "let the parameters that the optimizer is to move require grad before this forward: `requires_grad_(True)`"
        if held.intersection(frozen)
        else "let the input require grad, which leaves the parameters frozen: `x.requires_grad_(True)`"
    )
    return [
        finding(
            "nothing-requires-grad",
            "broken",
            "nothing that the score was computed from requires grad",
            recording.site_span(flags[0].site) if flags else recording.site_span(question.site),
            label="frozen here" if flags else "backward from a score without any graph",
            notes=(
                "autograd records an operation only when one of its inputs requires grad; here none does",
                f"{len(frozen)} parameters take part, all of them frozen",
            ),
            helps=(cure,),
            rank=0 if question.error else 1,
            operation=question.operation,
        )
    ]
