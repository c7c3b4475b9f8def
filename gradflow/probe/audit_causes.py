"""Looks into each group of parameters without a usable gradient, with the experiments that it calls for."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from gradflow.graph.ways_to_score import WaysToScore, ways_to_score
from gradflow.layers.names import module_named
from gradflow.load.module_tree import modules_in, named_modules_in
from gradflow.probe.absorption import SUSPICIOUSLY_SMALL
from gradflow.probe.audit.named import and_more
from gradflow.probe.audit.without_effect import are_without_effect
from gradflow.probe.audit_evidence import GroupCause, OpenQuestion, ParameterGroup
from gradflow.probe.audit_groups import group_parameters
from gradflow.probe.evidence import Evidence, TakingHook
from gradflow.probe.examine import examine
from gradflow.probe.factors.awakening import awakened, zero_factors
from gradflow.probe.gradient import Gradients, differentiate
from gradflow.probe.hooks.taken_gradients import taking_hooks
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.never_ran.raised import raised_before, what_raised
from gradflow.probe.other_runs.left_out_by import OtherRuns, learning_in_other_runs
from gradflow.probe.outside.unrecorded import read_all_the_same, unrecorded_parameters
from gradflow.probe.unrun_reads import find_unrun_read
from gradflow.probe.zero_deaths import nearest_deaths, scan_deaths
from gradflow.record.backward.dense_values import is_something
from gradflow.record.modules.unregistered import assignment_of
from gradflow.record.run import Run
from gradflow.record.state import StateKeeper
from gradflow.recording import Recording
from gradflow.recording.gradients import NodeFlow
from gradflow.torch_facts.modes import is_in_train_mode
from gradflow.torch_facts.module_machinery import NORMS_WITH_STATISTICS

__all__ = ["examine_groups"]

MOST_GROUPS = 16
"""So many causes are looked into, the ones that explain most parameters first; each may cost a few forward passes."""


def examine_groups(
    laboratory: Laboratory,
    keeper: StateKeeper,
    run: Run,
    gradients: Mapping[str, Gradients],
    states: Mapping[str, str],
) -> tuple[tuple[GroupCause, ...], tuple[OpenQuestion, ...]]:
    """One entry per cause, and what could not be determined.

    Parameters
    ----------
    laboratory
        Its ``parameters`` are those that are audited; afterwards only the ones that were looked into.
    keeper
        Of the state from which the laboratory's runs start.
    run, gradients
        The base run, and what each parameter got in it.
    states
        What holds of each parameter: ``"gradient"``, ``"none"``, ``"zero"`` or ``"not finite"``.
    """
    return _Examination(laboratory, keeper, run, gradients, states).causes()


class _Examination:
    def __init__(
        self,
        laboratory: Laboratory,
        keeper: StateKeeper,
        run: Run,
        gradients: Mapping[str, Gradients],
        states: Mapping[str, str],
    ) -> None:
        self.laboratory = laboratory
        self.keeper = keeper
        self.run = run
        self.recording: Recording = run.recording
        self.gradients = gradients
        self.states = states
        self.parameters = dict(laboratory.parameters)
        self.deaths: tuple[NodeFlow, ...] = ()
        self.nearest: list[int] = []
        self.factors: tuple[str, ...] = ()
        self.taken: dict[str, tuple[TakingHook, ...]] = {}
        self.waiting: frozenset[str] = frozenset()
        self.undetermined: list[OpenQuestion] = []

    def causes(self) -> tuple[tuple[GroupCause, ...], tuple[OpenQuestion, ...]]:
        self._find_deaths()
        asked = {name: state for name, state in self.states.items() if self.gradients[name].error is None}
        ways = ways_to_score(self.recording)
        self._leave_out_unrecorded(asked, ways)
        groups = (
            *self._raised(),
            *group_parameters(self.recording, ways, asked, self._death_key, self.laboratory.replaced),
        )
        left_out = groups[MOST_GROUPS:]
        if left_out:
            names = tuple(name for group in left_out for name in group.members)
            self._leave_open(
                f"why {len(names)} more parameters get no gradient, among them `{names[0]}`: there are "
                f"{len(groups)} causes, and the {MOST_GROUPS} largest were looked into",
                names,
            )
        groups = groups[:MOST_GROUPS]
        # a repaired run need not hold the gradients of all parameters
        subjects = {group.subject for group in groups}
        self.laboratory.parameters = {name: tensor for name, tensor in self.parameters.items() if name in subjects}
        trained = self._trained_in_train_mode(groups)
        others = learning_in_other_runs(self.laboratory, {name: self.parameters[name] for name in _left_out(groups)})
        return tuple(self._cause(group, trained, others) for group in groups), tuple(self.undetermined)

    def _leave_out_unrecorded(self, asked: dict[str, str], ways: WaysToScore) -> None:
        """Of what no operation is known to read nothing is said where it may be read by one that is not recorded."""
        silent = [
            name
            for name, state in asked.items()
            if state == "none" and ways.first_read[self.recording.layer_values[name][0]] < 0
        ]
        reasons: dict[str, list[str]] = {}
        for name, where in unrecorded_parameters(self.recording, silent).items():
            reasons.setdefault(f"what reads it ran {where}, where operations are not recorded", []).append(name)
        for name in silent:
            raised = raised_before(self.recording, name)
            if raised is not None and not any(name in names for names in reasons.values()):
                reasons.setdefault(what_raised(self.recording, raised), []).append(name)
        for name in (name for names in reasons.values() for name in names):
            asked.pop(name, None)
        # inside TorchScript nothing is recorded, and there the gradient alone tells
        unread = [name for name in silent if name in asked] if self.laboratory.workload.can_enter else []
        for name, moves in read_all_the_same(self.laboratory, unread).items():
            del asked[name]
            reasons.setdefault(f"{moves} and no recorded operation reads it", []).append(name)
        for reason, names in reasons.items():
            gets = "get" if len(names) > 1 else "gets"
            self._leave_open(f"why {and_more(names)} {gets} no gradient, because {reason}", names)

    def _leave_open(self, text: str, names: Sequence[str] = ()) -> None:
        self.undetermined.append(OpenQuestion(text=text, names=tuple(names)))

    def _raised(self) -> tuple[ParameterGroup, ...]:
        """Those whose backward raised, by what it raised."""
        found: dict[tuple[type, str], list[str]] = {}
        for name in self.states:
            error = self.gradients[name].error
            if error is not None:
                found.setdefault((type(error), str(error)), []).append(name)
        return tuple(
            ParameterGroup(kind="error", members=tuple(members), subject=members[-1]) for members in found.values()
        )

    def _cause(self, group: ParameterGroup, trained: frozenset[str], others: OtherRuns) -> GroupCause:
        model = self.laboratory.workload.model
        trained_count = sum(name in trained for name in group.members)
        drawn_count = sum(name in others.by_draws.names for name in group.members)
        for_values_count = sum(name in others.by_values.names for name in group.members)
        if group.kind == "never read":
            owner_name, _, attribute = group.subject.rpartition(".")
            owner = type(module_named(model, owner_name)) if not owner_name or _has(model, owner_name) else type(model)
            return GroupCause(
                group=group,
                owner_type=owner.__name__,
                assigned_at=assignment_of(owner, attribute),
                unrun_read=find_unrun_read(owner, attribute, self.recording.executed_lines),
                replaced=self.laboratory.replaced.get(group.subject),
                redraw_count=others.by_draws.run_count,
                trained_count=trained_count,
                drawn_count=drawn_count,
                for_values_count=for_values_count,
            )
        waits = group.kind == "zero" and group.subject in self.waiting
        starts = self._factors_first(self._death(group)) if waits else None
        # what is called zero and is not has been shown to be rounding error, however large it is
        faint = math.inf if group.kind == "zero" else SUSPICIOUSLY_SMALL
        gradients = self._gradients_of(group)
        evidence = examine(self.laboratory, self.run, gradients, group.subject, zero_starts=starts, faint=faint)
        for text in evidence.undetermined:
            self._leave_open(text)
        influence = evidence.influence
        if influence is not None and influence.matters is None:
            whom = and_more((group.subject, *(name for name in group.members if name != group.subject)))
            self._leave_open(f"whether {evidence.score} depends on {whom}, because {influence.reason}", group.members)
        if group.kind == "zero":
            subjects, death = self.laboratory.parameters, self._death(group)
            here = tuple(flow for flow in evidence.flows if flow.operation == death)
            evidence = replace(evidence, flows=here or evidence.flows)
            if waits:
                return GroupCause(group=group, evidence=evidence, zero_factors=starts or ())
            in_vain = () if group.subject in self.taken or evidence.zero_starts else self._factors_read_at(death)
            # for moving, the laboratory has to know more than the subjects
            self.laboratory.parameters = self.parameters
            is_without_effect = are_without_effect(self.laboratory, self.recording, group.members, in_vain)
            self.laboratory.parameters = subjects
            return GroupCause(
                group=group, evidence=evidence, moved_in_vain=in_vain, is_without_effect=is_without_effect
            )
        return GroupCause(
            group=group,
            evidence=evidence,
            redraw_count=others.by_draws.run_count if _may_be_called(group, evidence) else 0,
            retry_count=others.retry_count(group.subject) if _may_be_called(group, evidence) else 0,
            trained_count=trained_count,
            drawn_count=drawn_count,
            for_values_count=for_values_count,
        )

    def _gradients_of(self, group: ParameterGroup) -> Gradients:
        """What the subject got; a module that never ran was not asked for, as none of its parameters got anything."""
        return self.gradients.get(group.subject) or self.gradients[group.members[0]]

    def _find_deaths(self) -> None:
        zeros = {name: self.parameters[name] for name, state in self.states.items() if state == "zero"}
        if zeros:
            self.factors = zero_factors(self.parameters, self.states, self.recording)
            if self.factors:
                moved = {name: self.parameters[name] for name in self.factors}
                self.waiting = awakened(self.laboratory, moved, zeros)
            self.taken, unknown = taking_hooks(self.laboratory, zeros)
            if unknown:
                self._leave_open(unknown)
            self.deaths, reason = scan_deaths(self.laboratory.forward(), list(zeros.values()))
            if reason:
                self._leave_open(f"where the gradients that are zero become so, because {reason}")
        self.nearest = nearest_deaths(self.recording, self.deaths)

    def _death_key(self, name: str) -> Hashable:
        """What the gradient dies of: the same line of a class that is used many times is one cause."""
        if name in self.waiting:
            return "waits", -1
        if name in self.taken:
            return self.taken[name]
        value = self.recording.layer_values[name][0]
        operation = self.nearest[value]
        if (operation < 0 or value in self.recording.inputs_of(operation)) and self._is_rounding(name):
            # what takes it out is looked for: one module's need not be another's, nor be where the zeros of others are
            return "", name.rpartition(".")[0]
        if operation < 0:
            return "", -1
        return self.recording.name_of(operation), self.recording.operations.site[operation]

    def _is_rounding(self, name: str) -> bool:
        """Whether its gradient is called zero and is not."""
        given = self.gradients[name].by_target[name]
        return any(gradient is not None and is_something(gradient) for gradient in given)

    def _death(self, group: ParameterGroup) -> int:
        return self.nearest[self.recording.layer_values[group.subject][0]]

    def _factors_first(self, operation: int) -> tuple[str, ...]:
        """The parameters that start at zero, first the one that multiplies at the operation."""
        read = self._factors_read_at(operation)
        return tuple(sorted(self.factors, key=lambda name: name not in read))

    def _factors_read_at(self, operation: int) -> tuple[str, ...]:
        inputs = self.recording.inputs_of(operation) if operation >= 0 else ()
        read = {self.recording.leaf_names.get(value, ("", ""))[1] for value in inputs}
        return tuple(name for name in self.factors if name in read)

    def _trained_in_train_mode(self, groups: Sequence[ParameterGroup]) -> frozenset[str]:
        """Those that nothing reads in eval mode and that get a gradient in train mode, as auxiliary heads do."""
        names = _left_out(groups)
        # a batch norm in train mode refuses a single sample, and decides nothing about what runs
        modules = [
            module
            for module in modules_in(self.laboratory.workload.model)
            if is_in_train_mode(module) is False and not isinstance(module, NORMS_WITH_STATISTICS)
        ]
        if not names or not modules:
            return frozenset()
        asked = {name: self.parameters[name] for name in names}
        with _in_train_mode(modules):
            run = self.laboratory.forward()
            if run.failure is not None:
                return frozenset()
            gradients = differentiate(run, asked)
        return frozenset(name for name in names if any(g is not None for g in gradients.by_target.get(name, ())))


def _left_out(groups: Sequence[ParameterGroup]) -> list[str]:
    return [name for group in groups if group.kind in ("module not called", "never read") for name in group.members]


def _may_be_called(group: ParameterGroup, evidence: Evidence) -> bool:
    """Whether code was found that could call a module that did not run."""
    found = evidence.not_called
    return group.kind == "module not called" and found is not None and found.is_called_somewhere


def _has(model: torch.nn.Module, name: str) -> bool:
    return any(name == other for other, _ in named_modules_in(model, remove_duplicate=False))


@contextmanager
def _in_train_mode(modules: Sequence[torch.nn.Module]) -> Iterator[None]:
    for module in modules:
        module.training = True
    try:
        yield
    finally:
        for module in modules:
            module.training = False
