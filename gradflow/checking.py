"""The whole of gradflow on one page: load, record, graph, probe, diagnose, cam, report."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from gradflow.cam.map_run import Maps, make_maps
from gradflow.diagnose.diagnosing import diagnose, unexplained
from gradflow.diagnose.own_line import at_own_line, operation_of
from gradflow.diagnose.rules.forward_error import is_refusal
from gradflow.diagnose.source_lines import with_source
from gradflow.diagnose.values.drawn_in_backward import drawn_unseen
from gradflow.diagnose.verdict import verdict_of
from gradflow.errors import GradflowError, UsageError
from gradflow.graph.build import branches_between, build_flow_graph, layer_operations
from gradflow.graph.flow_graph import FlowGraph
from gradflow.layers.auto import Candidates, candidates_of
from gradflow.layers.names import matched_by_glob, module_named, names_given, resolve_layers, resolve_parameters
from gradflow.load.loading import workload_from_objects
from gradflow.load.modes import Mode, model_in_mode
from gradflow.load.module_tree import named_buffers_in, named_parameters_in
from gradflow.load.slicing import parse_slice
from gradflow.load.workload import Workload
from gradflow.probe.branch_shares import AutogradFacts, measuring
from gradflow.probe.derivative_check import DerivativeCheck
from gradflow.probe.evidence import Evidence
from gradflow.probe.examine import examine
from gradflow.probe.facts.backward_draws import BackwardDraws
from gradflow.probe.facts.bad_number import BadScore
from gradflow.probe.forward_values.first_not_finite import bad_score
from gradflow.probe.gradient import Gradients, differentiate
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.other_runs.backward_draws import backward_draws
from gradflow.probe.other_runs.zeros_at_once import scan_zeros_at_once
from gradflow.probe.targets.chosen_output import choose_outputs, told_outputs
from gradflow.probe.targets.counting_layers import choose_counting_layer
from gradflow.probe.targets.parameters_in_place import parameters_in_place
from gradflow.probe.together.apart import each_by_itself
from gradflow.record.conduct.turns import Turn
from gradflow.record.conduct.whose_error import telling_our_errors
from gradflow.record.failure import model_raised
from gradflow.record.layer_pass import require_enterable, run_modules
from gradflow.record.run import Run
from gradflow.record.state import preserved
from gradflow.record.state.lazy_layers import with_lazy_layers_initialised
from gradflow.record.state.settings import generator_states
from gradflow.recording.gradients import Measured
from gradflow.report import Environment, GradientStatistics, Report, Score, Target
from gradflow.run_setting import environment_of, recording_allowed
from gradflow.spelled import Spelled
from gradflow.without_output import answers_in_place

__all__ = ["check", "check_workload"]

MEASURED_OPERATIONS = 5_000
"""Runs with more operations are analysed from the recording alone; no person looks at the branches of such a graph."""


def check(
    model: torch.nn.Module,
    layer: str | Sequence[str] = "auto",
    *,
    inputs: Any = None,
    target: int | str | None = None,
    score: Callable[[Any], Any] | None = None,
    output: str | None = None,
    parameter: str | Sequence[str] = (),
    slice: str = "",  # noqa: A002  (the name that the command line uses)
    cam: bool = False,
    verify: bool = False,
    mode: Mode | None = None,
) -> Report:
    """Say whether the gradient of a score reaches a layer of a model, and if not, why.

    The model, its modes, ``.grad``, hooks, random state and torch's settings are left as they were found.

    Parameters
    ----------
    model
        Runs once, more often only where something is broken; on its own device.
    layer
        Qualified name(s) such as ``"layer4.1.conv2"``, globs, or ``"auto"``: the last layer that makes sense for
        Grad-CAM.
    inputs
        A tensor, a tuple for ``model(*inputs)``, or a mapping for ``model(**inputs)``; inferred from the model if
        ``None``.
    target
        Class index or name; by default the largest entry of the first sample's output.
    score
        ``score(output)`` returning a tensor with one element, instead of ``target``.
    output
        Which part of a structured output the score is made from, such as ``"logits"`` or ``"0"``.
    parameter
        Qualified name(s) of parameters whose gradient is asked for, besides or instead of layers.
    slice
        A part of the activation, such as ``"[:, 1:]"``.
    cam
        Also compute the Grad-CAM, if the path is connected: in a run of its own, in eval mode unless ``mode`` says
        otherwise. It is the report's ``cam``, and ``report.cam.save("cam.png")`` writes it.
    verify
        Also compare the gradient with how the score moves, in float64: five more forward passes, which take twice as
        long and need a copy of the parameters; about thirty, and some to find the place, where they differ.
    mode
        ``"train"`` or ``"eval"``, for the time of the check; by default the mode that each module is in.

    Raises
    ------
    GradflowError
        When the request cannot be carried out: no such layer, no scalar score, or the model raised.
    """
    parameters = names_given(parameter, "parameter")
    layers = names_given(layer, "layer")
    if parameters and layers == ["auto"]:
        layers = []
    # a turn of its own: a mode is set on the model, which another thread may be checking in another mode
    with Turn(sys._getframe()), model_in_mode(model, mode):
        workload = workload_from_objects(model, inputs, target=target, score=score, output=output, mode=mode)
        return check_workload(workload, layers, parameters, slice_=slice, cam=cam, verify=verify)


@telling_our_errors
def check_workload(
    workload: Workload,
    layers: Sequence[str],
    parameters: Sequence[str] = (),
    *,
    slice_: str = "",
    cam: bool = False,
    verify: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Check a loaded workload; the stages of gradflow in their order. Arguments as for :func:`check`."""
    started = time.perf_counter()
    say = progress or (lambda text: None)
    index = parse_slice(slice_) if slice_ else None
    say("tracing")
    workload = with_lazy_layers_initialised(workload)
    with recording_allowed(workload) as assumed:
        names, chosen, candidates = _choose(workload, layers)
        modules = {name: module_named(workload.model, name) for name in names}
        tensors = _tensors(
            workload.model, resolve_parameters(workload.model, parameters, model_name=workload.model_name)
        )
        inputs = (*workload.inputs, *workload.keyword_inputs.values())
        with preserved(workload.model, inputs) as keeper:
            laboratory = Laboratory(workload, keeper, modules, tensors)
            if cam and not laboratory.has_values:
                raise UsageError("a Grad-CAM needs values, and the meta device has none", hint="use another device")
            # a map needs the activations as they were; nothing else of the run differs
            run = laboratory.forward(keep=cam)
            if run.failure is not None and not is_refusal(run.failure):
                raise model_raised(run.failure)
            if candidates is not None and run.failure is None:
                names, chosen = _named(workload, layers, *choose_counting_layer(candidates, run, workload.model))
                if set(names) != set(modules):
                    modules = {name: module_named(workload.model, name) for name in names}
                    laboratory = laboratory.with_layers(modules)
                    run = laboratory.forward(keep=cam)
            # a map, and a part of an activation, need the activation itself
            globs = layers if not cam and index is None else ()
            laboratory, run, in_place = _with_parameters_in_place(laboratory, run, globs)
            say("walking the gradient back")
            facts, together, has_drawn = _gradients(laboratory, run)
            outputs = choose_outputs(laboratory, run, together)
            if outputs:
                laboratory = laboratory.with_outputs(outputs)
                run = laboratory.forward(keep=cam)
                facts, together, has_drawn = _gradients(laboratory, run)
            chosen = (*chosen, *told_outputs(run, outputs))
            draws = backward_draws(laboratory) if has_drawn else None
            gradients = each_by_itself(together, laboratory.forward, laboratory.parameters)
            _require_fitting(slice_, index, run, gradients)
            class_index, value, bad = run.class_index, _value(run), bad_score(laboratory, run)
            scan_zeros_at_once(laboratory, run, gradients)
            run.live.score = None
            evidences = []
            for name in (*names, *laboratory.parameters):
                say(f"looking at {name}")
                evidence = examine(
                    laboratory,
                    run,
                    gradients[name],
                    name,
                    slice_text=slice_,
                    index=index,
                    verify=verify and bad is None,
                    redraw=True,
                )
                evidences.append(_with_score(evidence, bad, draws, verify=verify))
            maps = make_maps(laboratory, run, gradients, evidences, class_index, index) if cam else Maps()
        unrestored = keeper.unrestored
    workload = replace(
        workload,
        assumptions=(
            *workload.assumed(),
            *chosen,
            *assumed,
            *laboratory.assumed,
            *maps.assumed,
            *(f"could not be put back: {name}" for name in unrestored),
            *(_not_looked_at(workload.model, names) if candidates is not None else ()),
        ),
    )
    environment = environment_of(workload, run.recording, laboratory.forward_count, time.perf_counter() - started)
    score = _score(workload, run, class_index, value)
    reports = [
        _report(workload, evidence, score, environment, facts.get(evidence.target), maps) for evidence in evidences
    ]
    return _in_one(answers_in_place(workload, evidences, reports, in_place, tensors))


def _with_score(evidence: Evidence, bad: BadScore | None, draws: BackwardDraws | None, *, verify: bool) -> Evidence:
    """With what holds for all targets; a gradient cannot be compared with how a score moves that is no number."""
    found = replace(evidence, bad_score=bad, draws=draws)
    if bad is None or not verify or not any(measured.arrived for measured in evidence.measured):
        return found
    return replace(found, derivative=DerivativeCheck(outcome="unclear", reason=f"the score is {bad.shown}"))


def _choose(workload: Workload, layers: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...], Candidates | None]:
    """The layers that are meant, and, where one is to be chosen for the user: which, why, and among which."""
    if layers:
        require_enterable(workload)
    if "auto" not in layers:
        return resolve_layers(workload.model, layers, model_name=workload.model_name), (), None
    candidates = candidates_of(workload, run_modules(workload))
    return *_named(workload, layers, *candidates.choose()), candidates


def _with_parameters_in_place(
    laboratory: Laboratory, run: Run, patterns: Sequence[str]
) -> tuple[Laboratory, Run, dict[str, tuple[str, ...]]]:
    """Where layers that only a glob named gave no output: a run that is asked for parameters as well, by layer."""
    globbed = matched_by_glob(laboratory.workload.model, patterns, laboratory.layers)
    found = parameters_in_place(run, laboratory.layers, globbed)
    if any(found.values()):
        laboratory = laboratory.with_parameters({name: one for each in found.values() for name, one in each.items()})
        run = laboratory.forward()
    return laboratory, run, {layer: tuple(parameters) for layer, parameters in found.items()}


def _named(
    workload: Workload, layers: Sequence[str], name: str, reason: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    named = [name if pattern == "auto" else pattern for pattern in layers]
    return resolve_layers(workload.model, named, model_name=workload.model_name), (f"layer: `{name}`, {reason}",)


def _not_looked_at(model: torch.nn.Module, names: Sequence[str]) -> tuple[str, ...]:
    """What a check of a layer that was chosen for the user says nothing about."""
    others = sum(bool(name) and name not in names for name, _ in model.named_modules())
    if not others:
        return ()
    layers = f"{others} other layers were" if others > 1 else "1 other layer was"
    said = f"layers: {layers} not looked at"
    return (Spelled(f'{said} (`--layer "*"` looks at all)', in_python=f'{said} (`layer="*"` looks at all)'),)


def _tensors(model: torch.nn.Module, names: Sequence[str]) -> dict[str, torch.Tensor]:
    if not names:
        return {}
    known = {
        **dict(named_buffers_in(model, remove_duplicate=False)),
        **dict(named_parameters_in(model, remove_duplicate=False)),
    }
    return {name: known[name] for name in names}


def _gradients(laboratory: Laboratory, run: Run) -> tuple[dict[str, AutogradFacts], Gradients, bool]:
    """The one real backward, and whether it drew random numbers.

    For the first layer, autograd's graph is walked and its branches are measured.
    """
    before, (facts, gradients) = generator_states(), _walked_back(laboratory, run)
    return facts, gradients, generator_states() != before


def _walked_back(laboratory: Laboratory, run: Run) -> tuple[dict[str, AutogradFacts], Gradients]:
    recording = run.recording
    name = next((name for name, taken in run.live.activations.items() if any(a.edge is not None for a in taken)), None)
    if name is None or len(recording) > MEASURED_OPERATIONS:
        return {}, differentiate(run, laboratory.parameters)
    dependence = laboratory.dependence(recording, recording.layer_values[name])
    branches = branches_between(recording, dependence, name)
    goals = [goal for activation in run.live.activations[name] for goal in activation.goals]
    makers = layer_operations(recording, name)
    with measuring(run, goals, max(makers, default=-1), branches) as facts:
        return {name: facts}, differentiate(run, laboratory.parameters)


def _require_fitting(text: str, index: Any, run: Run, gradients: Mapping[str, Gradients]) -> None:
    """Also what no gradient comes to: a run with a repair brings one, of which the same part is measured."""
    recording = run.recording
    for name, of_target in gradients.items() if index is not None else ():
        values = [value for value in recording.layer_values.get(name, ()) if value >= 0]
        expected = [torch.empty(recording.values.shape[value], device="meta") for value in values]
        for whole in (*of_target.by_target[name], *expected):
            if whole is None:
                continue
            try:
                empty = whole[index].numel() == 0
            except (IndexError, TypeError, ValueError, RuntimeError) as error:  # also numbers beyond 64 bits
                raise UsageError(
                    f"the slice `{text}` does not fit `{name}`, whose shape is {list(whole.shape)}", note=str(error)
                ) from error
            if empty:
                raise UsageError(f"the slice `{text}` of `{name}`, whose shape is {list(whole.shape)}, is empty")


def _value(run: Run) -> float | None:
    return None if run.live.score is None or run.live.score.is_meta else float(run.live.score.detach())


def _score(workload: Workload, run: Run, class_index: int | None, value: float | None) -> Score:
    names = workload.class_names
    known = class_index is not None and 0 <= class_index < len(names)
    return Score(
        description=run.description,
        target=class_index,
        class_name=names[class_index] if known and class_index is not None else "",
        value=value,
    )


def _report(
    workload: Workload,
    evidence: Evidence,
    score: Score,
    environment: Environment,
    facts: AutogradFacts | None,
    maps: Maps,
) -> Report:
    names, shares = (facts.names, facts.shares) if facts is not None else ({}, {})
    recording, dependence, target = evidence.recording, evidence.dependence, evidence.target
    diagnostics = tuple(
        with_source(at_own_line(recording, one, operation_of(recording, one, [evidence])), recording.lines)
        for one in diagnose(evidence)
    )
    return Report(
        verdict=verdict_of(evidence),
        target=Target(
            name=target,
            kind=evidence.kind,
            type_name=evidence.type_name,
            shape=evidence.shape,
            slice=evidence.slice,
            call_count=evidence.call_count,
        ),
        score=score,
        diagnostics=workload.told(diagnostics),
        flow=FlowGraph.deferred(
            lambda: build_flow_graph(recording, dependence, target, gradient_names=names, shares=shares)
        ),
        gradients=tuple(_statistics(target, measured) for measured in evidence.sliced or evidence.measured),
        environment=environment,
        assumptions=workload.told((*workload.assumptions, *workload.limits)),
        undetermined=workload.told(
            (
                *evidence.undetermined,
                *drawn_unseen(evidence.draws, target),
                *unexplained(evidence, diagnostics),
            )
        ),
        cam=maps.by_layer.get(target),
        cam_refusal=workload.told(maps.refused.get(target, "")),
    )


def _statistics(name: str, measured: Measured) -> GradientStatistics:
    return GradientStatistics(
        name=name,
        arrived=measured.arrived,
        shape=measured.shape,
        l2_norm=measured.l2_norm,
        max_abs=measured.max_abs,
        entry_count=measured.entry_count,
        zero_count=measured.zero_count,
        nan_count=measured.nan_count,
        inf_count=measured.inf_count,
    )


_HOW_TO_ASK = Spelled(
    "name a layer with `--layer` or a parameter with `--param`",
    in_python="name a layer, or a parameter by `parameter=...`",
)


def _in_one(reports: Sequence[Report]) -> Report:
    """Several targets in one report: the first that is not connected stands for all."""
    if not reports:
        raise GradflowError("nothing was asked for", hint=_HOW_TO_ASK)
    first = next((report for report in reports if not report.connected), reports[0])
    return replace(first, others=tuple(report for report in reports if report is not first))
