"""All parameters of a model at once: which get no gradient, and why. The stages of gradflow in their order."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from gradflow.audit_report import Activity, AuditReport, DepthProfile, ParameterGradient, ParameterState
from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.diagnose.groups.in_other_runs import in_other_runs
from gradflow.diagnose.groups.merging import explained_once
from gradflow.diagnose.groups.no_effect import of_no_effect
from gradflow.diagnose.own_line import at_own_line, operation_of
from gradflow.diagnose.parameter_findings import (
    depth_finding,
    frozen_parameters,
    inactive_units,
    unknown_leaves,
    unregistered_parameters,
)
from gradflow.diagnose.parameter_group import (
    counted,
    explain_formulas,
    explain_group,
    explain_incomplete,
    never_read,
    placed,
)
from gradflow.diagnose.source_lines import with_source
from gradflow.diagnose.untold.left_open import left_open
from gradflow.diagnose.values.bad_score import bad_score_finding
from gradflow.diagnose.values.drawn_in_backward import drawn_finding, drawn_unseen
from gradflow.errors import UsageError
from gradflow.graph.ways_to_score import WaysToScore, ways_to_score
from gradflow.load.loading import workload_from_objects
from gradflow.load.modes import Mode, model_in_mode
from gradflow.load.module_tree import named_parameters_in
from gradflow.load.scores.loss import with_loss
from gradflow.load.workload import Workload
from gradflow.probe.activity import UnitCounting
from gradflow.probe.along_depth.evidence import AlongDepth
from gradflow.probe.along_depth.measuring import measure_along_depth
from gradflow.probe.audit.constant_loss import only_rounding_error
from gradflow.probe.audit.formulas import examine_formulas
from gradflow.probe.audit.incomplete import examine_incomplete
from gradflow.probe.audit_causes import examine_groups
from gradflow.probe.audit_evidence import GroupCause, UnitCount
from gradflow.probe.audit_groups import state_of
from gradflow.probe.derivative.harmful import harmful_losses
from gradflow.probe.facts.backward_draws import BackwardDraws
from gradflow.probe.facts.bad_number import BadScore
from gradflow.probe.forward_values.first_not_finite import bad_score
from gradflow.probe.gradient import Gradients, differentiate, measured_all, said_of_unread
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.other_runs.backward_draws import backward_draws
from gradflow.probe.registering.copies import copies_of_groups
from gradflow.probe.together.apart import each_by_itself
from gradflow.record.conduct.turns import Turn
from gradflow.record.conduct.whose_error import telling_our_errors
from gradflow.record.failure import model_raised
from gradflow.record.modules.unregistered import find_unregistered
from gradflow.record.run import Run
from gradflow.record.state import preserved
from gradflow.record.state.lazy_layers import with_lazy_layers_initialised
from gradflow.record.state.settings import generator_states
from gradflow.recording import Recording
from gradflow.recording.gradients import Measured
from gradflow.report import Score
from gradflow.run_setting import environment_of, recording_allowed
from gradflow.spelled import each_way

__all__ = ["audit", "audit_workload"]

_RANK = {"error": 0, "warning": 1, "info": 2}


def audit(
    model: torch.nn.Module,
    *,
    inputs: Any = None,
    loss: Callable[..., Any] | None = None,
    output: str | None = None,
    mode: Mode | None = None,
) -> AuditReport:
    """Say which parameters of a model get a gradient from a loss, and why the others do not.

    The model, its modes, ``.grad``, hooks, random state and torch's settings are left as they were found.

    Parameters
    ----------
    model
        Runs once, more often only where something is wrong; on its own device.
    inputs
        A tensor, a tuple for ``model(*inputs)``, or a mapping for ``model(**inputs)``; inferred from the model if
        ``None``.
    loss
        ``loss(output)`` or ``loss(output, batch)`` returning a tensor with one element, where ``batch`` is ``inputs``;
        by default all outputs of the model count, each entry with a fixed random weight.
    output
        Which part of a structured output is used, such as ``"logits"`` or ``"0"``.
    mode
        ``"train"`` or ``"eval"``, for the time of the audit; by default the mode that each module is in. Audit a model
        in the mode in which it is trained.

    Raises
    ------
    GradflowError
        When the request cannot be carried out: no loss, or the model raised.
    """
    # as in `check`: another thread may be checking the model in another mode
    with Turn(sys._getframe()), model_in_mode(model, mode):
        return audit_workload(with_loss(workload_from_objects(model, inputs, mode=mode), loss, output))


@telling_our_errors
def audit_workload(workload: Workload, *, progress: Callable[[str], None] | None = None) -> AuditReport:
    """Audit a loaded workload, whose objective is the loss (see :func:`gradflow.load.scores.loss.with_loss`)."""
    started = time.perf_counter()
    say = progress or (lambda text: None)
    _require_a_device(workload.model)
    workload = with_lazy_layers_initialised(workload)
    trainable = {name: one for name, one in named_parameters_in(workload.model) if one.requires_grad}
    holders = find_unregistered(workload.model)
    hidden = {name: tensor for _, tensors in holders for name, tensor in tensors.items()}
    say("tracing")
    given = (*workload.inputs, *workload.keyword_inputs.values())
    with recording_allowed(workload) as assumed, preserved(workload.model, given) as keeper:
        laboratory = Laboratory(workload, keeper, {}, {**trainable, **hidden})
        units = UnitCounting()
        run = laboratory.forward(seam=units)
        if run.failure is not None:
            raise model_raised(run.failure)
        has_values = laboratory.has_values
        value, bad = None if run.live.score is None else float(run.live.score.detach()), bad_score(laboratory, run)
        say("walking the gradient back")
        everything = laboratory.parameters
        gradients, draws = _walked_back(laboratory, run)
        run.live.score = None
        measured = {name: measured_all(gradients[name], name)[0] for name in everything}
        states: dict[str, ParameterState] = {name: state_of([one]) for name, one in measured.items()}
        ways = ways_to_score(run.recording)
        say("looking for causes")
        states |= dict.fromkeys(
            only_rounding_error(laboratory, run.recording, {name: measured[name] for name in trainable}), "zero"
        )
        of_model = {name: states[name] for name in trainable}
        arrived = [name for name, state in of_model.items() if state == "gradient"]
        in_part = [name for name, state in of_model.items() if state in ("gradient", "zero")]
        incomplete, not_whole = examine_incomplete(laboratory, run, gradients, ways, in_part)
        lacking = {name for cause in incomplete if harmful_losses(cause.evidence) for name in cause.members}
        # of what is zero along the ways that are whole it is told already what the others lack
        open_states = {name: one for name, one in of_model.items() if one != "zero" or name not in lacking}
        formulas, not_checked = examine_formulas(laboratory, run, gradients, ways, arrived)
        laboratory.parameters = everything
        causes, questions = examine_groups(laboratory, keeper, run, gradients, open_states)
        depth = measure_along_depth(
            laboratory, run.recording, ways, measured, {name: trainable[name] for name in arrived}
        )
    unrestored = keeper.unrestored
    environment = environment_of(workload, run.recording, laboratory.forward_count, time.perf_counter() - started)
    count = len(trainable)
    copied = copies_of_groups(causes, [_reached(tensors, states) for _, tensors in holders], trainable)
    causes = tuple(cause for cause in causes if not any(cause.group.members[0] in dict(pairs) for pairs in copied))
    explained = explained_once(causes, lambda cause: _explained(cause, trainable))
    told = {(one.name, one.module) for one in explained}
    diagnostics: tuple[Diagnostic, ...] = (
        *explained,
        *(found for cause in incomplete for found in explain_incomplete(cause.evidence, cause.members, count)),
        *(found for cause in formulas for found in explain_formulas(cause.evidence, cause.members, count)),
        *(
            unregistered_parameters(holder, tuple(reached), pairs)
            for (holder, tensors), pairs in zip(holders, copied, strict=True)
            if (reached := _reached(tensors, states))
        ),
        *_of_draws(run.description, draws, arrived, count),
        *unknown_leaves(run.recording, ways),
        *depth_finding(depth),
        # units that are all inactive have been told already where the gradient dies of them
        *(one for one in inactive_units(run.recording, units.counts) if (one.name, one.module) not in told),
        *_frozen(workload),
    )
    diagnostics = (*diagnostics, *_of_score(run.recording, run.description, bad, diagnostics))
    diagnostics = tuple(
        with_source(_at_its_place(one, workload, run.recording, causes), run.recording.lines) for one in diagnostics
    )
    not_seen = (text for name in arrived for text in drawn_unseen(draws, name))
    unread = (said_of_unread(gradients[name], name) for name in arrived if measured[name].is_unread and has_values)
    undetermined = (
        *not_seen,
        *unread,
        *(one.text for one in questions),
        *left_open(of_model, diagnostics, questions, causes),
    )
    return AuditReport(
        score=Score(description=run.description, value=value),
        parameters=_parameters(workload, run.recording, ways, measured, states, hidden, diagnostics),
        diagnostics=workload.told(tuple(sorted(diagnostics, key=lambda found: _RANK[found.severity]))),
        depth=_profile(depth),
        activities=tuple(_activity(run.recording, one) for one in units.counts),
        environment=environment,
        assumptions=workload.told(
            (
                *workload.assumed(),
                *workload.limits,
                *assumed,
                *laboratory.assumed,
                *(f"could not be put back: {name}" for name in unrestored),
            )
        ),
        undetermined=workload.told(
            tuple(dict.fromkeys((*not_whole, *not_checked, *undetermined, *_not_judged(depth))))
        ),
    )


def _not_judged(depth: AlongDepth | None) -> tuple[str, ...]:
    if depth is None or not depth.undetermined:
        return ()
    return (each_way(lambda why: f"whether gradients vanish or explode, because {why}", depth.undetermined),)


def _walked_back(laboratory: Laboratory, run: Run) -> tuple[dict[str, Gradients], BackwardDraws | None]:
    """What each parameter gets by itself, and what came of random numbers that the backward drew, where it did."""
    everything = laboratory.parameters
    before, together = generator_states(), differentiate(run, everything)
    draws = backward_draws(laboratory) if generator_states() != before else None
    return each_by_itself(together, laboratory.forward, everything), draws


def _of_draws(score: str, draws: BackwardDraws | None, arrived: Sequence[str], total: int) -> tuple[Diagnostic, ...]:
    """What the backward draws at random, told once for all parameters whose gradient depends on it."""
    members = [name for name in arrived if draws is not None and draws.changes(name)]
    if draws is None or not members:
        return ()
    share = max(draws.differences[name] for name in members)
    found = drawn_finding(draws, f"the gradient of {counted(len(members), total)}", score, share)
    return () if found is None else (replace(found, hides=tuple(members)),)


def _of_score(
    recording: Recording, score: str, bad: BadScore | None, told: Sequence[Diagnostic]
) -> tuple[Diagnostic, ...]:
    """That the loss is no finite number, where no gradient that is none has been told at the same line."""
    if bad is None:
        return ()
    found = bad_score_finding(
        recording, score, bad, location=recording.span_of(bad.made.operation) if bad.made else None
    )
    is_told = any(one.code == found.code and found.location in (None, one.location) for one in told)
    return () if is_told else (found,)


def _reached(tensors: Mapping[str, torch.Tensor], states: Mapping[str, str]) -> dict[str, torch.Tensor]:
    return {name: one for name, one in tensors.items() if states[name] not in ("none", "zero")}


def _require_a_device(model: torch.nn.Module) -> None:
    name = next((name for name, parameter in named_parameters_in(model) if parameter.is_meta), None)
    if name is not None:
        raise UsageError(
            f"`{name}` is on the `meta` device, where tensors have no values",
            note="an audit measures gradients",
            hint="build the model on the CPU, with fewer layers if it does not fit",
        )


def _explained(cause: GroupCause, trainable: Collection[str]) -> tuple[Diagnostic, ...]:
    found: tuple[Diagnostic, ...]
    if cause.evidence is None:
        found = (never_read(cause, len(trainable)),)
    else:
        found = explain_group(cause.group, cause.evidence, trainable, zero_factors=cause.zero_factors)
        if cause.moved_in_vain or cause.is_without_effect:
            found = tuple(of_no_effect(one, cause) for one in found)
    return tuple(in_other_runs(one, cause) for one in found)


def _at_its_place(
    found: Diagnostic, workload: Workload, recording: Recording, causes: Sequence[GroupCause]
) -> Diagnostic:
    """At a line that a person can change, where there is one: not inside a library."""
    evidences = [cause.evidence for cause in causes if cause.evidence is not None]
    own = at_own_line(recording, found, operation_of(recording, found, evidences))
    return placed(own, workload.provenance.registered_at)


def _profile(found: AlongDepth | None) -> DepthProfile | None:
    if found is None:
        return None
    return DepthProfile(
        weight_count=found.weight_count,
        first=found.first,
        last=found.last,
        ratio=found.ratio,
        is_judged=found.is_judged,
    )


def _frozen(workload: Workload) -> tuple[Diagnostic, ...]:
    parameters = dict(named_parameters_in(workload.model))
    names = [name for name, parameter in parameters.items() if not parameter.requires_grad]
    return frozen_parameters(names, workload.provenance.frozen_at, len(parameters))


def _activity(recording: Recording, count: UnitCount) -> Activity:
    return Activity(
        module=recording.module_of(count.operation),
        operation=recording.name_of(count.operation),
        unit_count=count.unit_count,
        dead_count=count.dead_count,
        place_count=count.place_count,
    )


def _parameters(
    workload: Workload,
    recording: Recording,
    ways: WaysToScore,
    measured: Mapping[str, Measured],
    states: Mapping[str, ParameterState],
    hidden: Mapping[str, torch.Tensor],
    diagnostics: Sequence[Diagnostic],
) -> tuple[ParameterGradient, ...]:
    codes: dict[str, list[str]] = {}
    for diagnostic in diagnostics:
        for name in diagnostic.hides:
            codes.setdefault(name, []).append(diagnostic.code)
    shared: dict[int, list[str]] = {}
    for name, parameter in named_parameters_in(workload.model, remove_duplicate=False):
        shared.setdefault(id(parameter), []).append(name)
    rows = []
    for name, tensor in (*named_parameters_in(workload.model), *hidden.items()):
        one = measured.get(name)
        rows.append(
            ParameterGradient(
                name=name,
                module=name.rpartition(".")[0],
                shape=tuple(tensor.shape),
                entry_count=tensor.numel(),
                state="frozen" if one is None else states[name],
                l2_norm=None if one is None else one.l2_norm,
                order=-1 if one is None else ways.first_read[recording.layer_values[name][0]],
                codes=tuple(dict.fromkeys(codes.get(name, ()))),
                shared_names=tuple(shared.get(id(tensor), [name])[1:]),
                is_registered=name not in hidden,
            )
        )
    return tuple(rows)
