"""GF101 to GF112, GF301: backward ran, or refused to, and no gradient came at the tensor asked for."""

from __future__ import annotations

from dataclasses import replace

from gradflow.graph.dependence import is_differentiable
from gradflow.probe.evidence import Evidence
from gradflow.recording import ModuleCall
from gradflow.torch_facts.operations.queries import gives_argument_back
from gradflow.watch.facts.captures import hook_around
from gradflow.watch.facts.kept_out import call_that_failed, told_failure
from gradflow.watch.facts.leaves import is_leaf_value
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.engine import engine_findings
from gradflow.watch.rules.forwards.not_in_this_one import not_in_this_forward
from gradflow.watch.rules.freezing import not_trainable
from gradflow.watch.rules.held_fixed import RECORDING_OFF, is_held_fixed
from gradflow.watch.rules.late_flag import late_flag, too_late
from gradflow.watch.rules.score_history import frozen_throughout
from gradflow.watch.rules.uncalled import ENDED_HERE, layer_never_ran

__all__ = ["no_gradient_came"]


def no_gradient_came(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """``None`` at a tensor, or autograd refuses because it is not in the graph."""
    recording, target = evidence.recording, question.target
    if is_leaf_value(recording, target) and not is_differentiable(recording.dtype_of(target)):
        return (_whole_numbers(observation, question, evidence),)
    late = late_flag(observation, target, evidence.dependence.reaches)
    if late is not None and late.is_leaf:
        return (too_late(observation, question, late, f"`{evidence.target}`"),)
    if is_leaf_value(recording, target) and not recording.values.requires_grad[target]:
        return (not_trainable(observation, question, evidence),) if _takes_part(evidence) else ()
    is_used = bool(evidence.dependence.reaches[target])
    if is_used and evidence.source.cause in ("detach", "tensor-rewrap") and _takes_part(evidence):
        return (not_trainable(observation, question, evidence),)
    if not evidence.source.recorded:
        own = _source_findings(observation, question, evidence)
        if own:
            return own
    if evidence.kind == "parameter" and not evidence.dependence.score_depends:
        # whether a layer ran, and what was computed with it, is not known inside what only its call was recorded of
        is_inside = target in observation.program.held_inside
        idle = _idle_module(observation, target) if not is_inside else None
        if idle is not None:
            asked, because = recording.site_span(question.site), f"`{evidence.target}` gets no gradient"
            return (layer_never_ran(observation, idle, asked, because=because),)
        if not is_inside and not _is_computed_with(observation, target):
            return (_unused(observation, question, evidence),)
        copy = _used_copy(observation, evidence, target)
        if copy >= 0:
            return (_copied(observation, question, evidence, copy),)
    elsewhere = not_in_this_forward(observation, question, evidence)
    if elsewhere is not None:
        return (elsewhere,)
    found = engine_findings(observation, question, evidence)
    is_meant = bool(found) and all(one.diagnostic.name in RECORDING_OFF for one in found)
    return () if is_meant and evidence.kind == "parameter" and is_held_fixed(observation, target) else found


def _takes_part(evidence: Evidence) -> bool:
    """Whether the score was computed from the target by operations that were recorded."""
    recording, dependence = evidence.recording, evidence.dependence
    if not dependence.score_depends:
        return False
    return all(
        recording.operations.mode[producer] == 0
        for value in dependence.way[1:]
        if (producer := recording.values.producer[value]) >= 0
    )


def _whole_numbers(observation: Observation, question: Question, evidence: Evidence) -> Finding:
    return finding(
        "integer-input",
        "error",
        f"a gradient is asked of `{evidence.target}`, which holds whole numbers",
        observation.recording.site_span(question.site),
        label="an integer tensor has no gradient",
        notes=("a whole number cannot move a little, so there is no derivative with respect to it",),
        helps=(
            "of token ids, ask at the output of the embedding",
            "if they are pixel values or the like, convert them first: `x = x.float().requires_grad_()`",
        ),
        target=evidence.target,
        score=evidence.score,
        rank=0 if question.error else 1,
        operation=question.operation,
    )


def _source_findings(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """The tensor asked for has no history itself."""
    recording, source = observation.recording, evidence.source
    if source.cause == "nothing-requires-grad":
        below = replace(question, score=question.target, target=-1)
        found = frozen_throughout(observation, below)
        return tuple(replace(f, target=evidence.target, rank=0 if question.error else 1) for f in found)
    if source.operation < 0 or source.cause in ("integer-input", ""):
        return ()
    inside = hook_around(observation, source.operation)
    name = "hook-detach" if inside and source.cause == "detach" else source.cause
    region = recording.site_span(source.site) if source.site >= 0 else None
    return (
        finding(
            name,
            "broken",
            f"the tensor asked for, of `{evidence.target}`, has no history",
            region or recording.span_of(source.operation),
            label="from here on nothing is recorded" if region is not None else "its history ends here",
            annotations=(
                (recording.span_of(source.operation), "made without history"),
                (recording.site_span(question.site), "its gradient is asked for here"),
            ),
            notes=("a tensor without history is not in autograd's graph, so there is nothing to differentiate",),
            helps=("keep the tensor as the forward made it, with gradients on",),
            target=evidence.target,
            score=evidence.score,
            rank=0 if question.error else 1,
            operation=question.operation,
        ),
    )


def _idle_module(observation: Observation, value: int) -> int | None:
    called = set(observation.program.call_modules)
    for module in observation.program.modules.values():
        if value in module.parameters and module.key not in called:
            return module.key
    return None


def _is_computed_with(observation: Observation, value: int) -> bool:
    """Whether any operation makes something else of a parameter; printing it and filling it with numbers do not."""
    recording = observation.recording
    return any(
        value in recording.inputs_of(operation)
        for operation in range(len(recording))
        if recording.outputs_of(operation) and not gives_argument_back(recording.name_of(operation))
    )


def _unused(observation: Observation, question: Question, evidence: Evidence) -> Finding:
    target = question.target
    asked = (observation.recording.site_span(question.site), question.outcome)
    made = observation.recording.site_span(observation.program.made_at.get(target, -1))
    failed = _call_that_failed(observation, target)
    if failed is not None:
        return finding(
            "output-discarded",
            "unused",
            f"`{evidence.target}` takes no part in {evidence.score}: nothing is computed with it",
            observation.recording.site_span(failed.site) or made,
            label=ENDED_HERE,
            annotations=(asked, (made, "made here")),
            notes=(f"{told_failure(observation, failed)} before anything was computed with it",),
            helps=("let this call go on to its end, or compute the score from what uses it",),
            target=evidence.target,
            is_parameter=True,
            score=evidence.score,
            operation=question.operation,
        )
    is_parameter = (
        target in observation.program.made_at or observation.recording.leaf_names.get(target, ("",))[0] == "parameter"
    )
    return finding(
        "output-discarded",
        "unused",
        f"`{evidence.target}` takes no part in {evidence.score}: nothing is computed with it",
        made,
        label="made here, never used",
        annotations=(asked,),
        notes=(f"a {'parameter' if is_parameter else 'tensor'} that takes no part in the score has no gradient",),
        helps=("use it in `forward`, or remove it" if is_parameter else "compute the score from it",),
        target=evidence.target,
        is_parameter=True,
        score=evidence.score,
        operation=question.operation,
    )


def _call_that_failed(observation: Observation, value: int) -> ModuleCall | None:
    """The failed call of what holds a parameter, where it never ended otherwise."""
    owners = [one.key for one in observation.program.modules.values() if value in one.parameters]
    failed = [call_that_failed(observation, key) for key in owners]
    return failed[0] if failed and None not in failed else None


def _used_copy(observation: Observation, evidence: Evidence, value: int) -> int:
    """A parameter that is a copy of this one, and that the score was computed from; -1 for none."""
    reaches = evidence.dependence.reaches
    return next((copy for copy, of in observation.program.copies.items() if of == value and reaches[copy]), -1)


def _copied(observation: Observation, question: Question, evidence: Evidence, copy: int) -> Finding:
    recording = observation.recording
    is_adapted = any(backward.create_graph and copy in backward.inputs for backward in observation.program.backwards)
    return finding(
        "tensor-rewrap" if is_adapted else "wrong-module-instance",
        "broken" if is_adapted else "unused",
        f"`{evidence.target}` gets no gradient: the score was computed from a copy of it",
        recording.site_span(observation.program.made_at.get(copy, -1)),
        label="copied here: the numbers only, not their history",
        annotations=((recording.site_span(question.site), question.outcome),),
        notes=("`copy.deepcopy` makes new parameters; what happens to them has nothing to do with the old ones",),
        helps=(
            "let the copy be computed from the original: `torch.func.functional_call(model, {name: p - lr * g}, x)`",
            "or run the model itself",
        ),
        target=evidence.target,
        is_parameter=True,
        score=evidence.score,
        operation=question.operation,
    )
