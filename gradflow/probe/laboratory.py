"""Runs experiments on one workload from one and the same initial state, and counts them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import Any

import torch

from gradflow.graph.dependence import Dependence, Dependences
from gradflow.load.module_tree import named_parameters_in, parameters_in
from gradflow.load.workload import Workload
from gradflow.probe.applications import GivenToFunctions
from gradflow.probe.backward_scan import scan_backward
from gradflow.probe.comparing.checksummed import Checksummed
from gradflow.probe.comparing.checksums import Checksums
from gradflow.probe.differential import Alteration, moved, score_of
from gradflow.probe.evidence import RepairOutcome
from gradflow.probe.gradient import Gradients, differentiate, measure
from gradflow.probe.mending.still_cut import StillCut, still_cut
from gradflow.probe.reach_of_move import ReachOfMove, reach_of_move
from gradflow.probe.registering.replaced import Replaced, replaced_in
from gradflow.probe.repairing import Repair, RepairPlan
from gradflow.probe.together.apart import each_by_itself
from gradflow.record.calls.applications import Application
from gradflow.record.moving import CannotMoveError, write
from gradflow.record.program_sites import ProgramSites
from gradflow.record.recorder import Recorder
from gradflow.record.run import Run, run_forward
from gradflow.record.seam.intervention import Intervention
from gradflow.record.state import StateKeeper
from gradflow.record.state.settings import generator_states, seed_generators
from gradflow.recording import Recording
from gradflow.recording.gradients import NodeFlow
from gradflow.values import tensors_in

__all__ = ["FAR", "Laboratory"]

_SEED = 20_260

FAR = (1_000, -1_000)
"""Directions so far away that a run which fails, or overflows, shows nothing."""


class Laboratory:
    """The live side of a check: every forward pass goes through here.

    Parameters
    ----------
    workload
        What is checked.
    keeper
        Puts the state back before each run after the first.
    layers, parameters
        Targets by qualified name.
    feed
        The workload of one run, where each run needs an input of its own.
    """

    def __init__(
        self,
        workload: Workload,
        keeper: StateKeeper,
        layers: Mapping[str, torch.nn.Module],
        parameters: Mapping[str, torch.Tensor],
        feed: Callable[[Workload], Workload] | None = None,
    ) -> None:
        self.workload = workload
        self.layers = layers
        self.parameters = parameters
        self.sites = ProgramSites()
        self.outputs: dict[str, int] = {}
        self.replaced: dict[str, Replaced] = {}
        self.kept: dict[str, Any] = {}  # what an experiment found out, for the next target that is asked for
        self.scanned: dict[str, tuple[NodeFlow, ...]] = {}  # what passed backward, where it is known
        self.assumed: dict[str, None] = {}  # what was taken for the same without a look at all of it
        self.drew: frozenset[str] = frozenset()
        self._has_run = False
        self._inputs = (*workload.inputs, *workload.keyword_inputs.values())
        tensors = (*parameters_in(workload.model), *tensors_in(self._inputs))
        self.has_values = not any(tensor.is_meta for tensor in tensors)
        self.first_score: float | None = None
        self.before_write = keeper.before_write
        self._keeper = keeper
        self._feed = feed
        self._base: Checksummed | None = None
        self._repeated: tuple[Checksummed, Checksummed] | None = None
        self._still_cut: dict[RepairPlan, StillCut] = {}
        self._repairs: dict[tuple[RepairPlan, bool, str], tuple[dict[str, Gradients], str]] = {}
        self._applications: tuple[Application, ...] | None = None
        self._first_trace: Recording | None = None
        self._newest: tuple[Recording, int] | None = None
        self._dependences: tuple[Recording, Dependences] | None = None
        self._analysed: tuple[Recording, tuple[int, ...], Dependence] | None = None

    @property
    def forward_count(self) -> int:
        """How often the model has run for this request, here and before."""
        return self.workload.forwards.total

    @forward_count.setter
    def forward_count(self, count: int) -> None:
        self.workload.forwards.total = count

    def again(
        self, layers: Mapping[str, torch.nn.Module], feed: Callable[[Workload], Workload] | None = None
    ) -> Laboratory:
        """One for runs that are to be compared among themselves only, from the same initial state."""
        self._keeper.rewind()
        other = Laboratory(self.workload, self._keeper, layers, {}, feed)
        other.outputs = {name: position for name, position in self.outputs.items() if name in layers}
        return other

    def with_outputs(self, outputs: Mapping[str, int]) -> Laboratory:
        """The same, with other tensors meant of what layers return: by layer, the position among all of them."""
        other = self._knowing_nothing()
        other.outputs = {**self.outputs, **outputs}
        return other

    def with_layers(self, layers: Mapping[str, torch.nn.Module]) -> Laboratory:
        """The same, with other layers asked for."""
        other = self._knowing_nothing()
        other.layers, other.outputs = layers, {}
        return other

    def with_parameters(self, parameters: Mapping[str, torch.Tensor]) -> Laboratory:
        """The same, with further parameters asked for."""
        other = self._knowing_nothing()
        other.parameters = {**self.parameters, **parameters}
        return other

    def _knowing_nothing(self) -> Laboratory:
        """The same, without what was found out with the layers and outputs of which it was asked so far."""
        other = copy.copy(self)
        other._base, other._repeated, other._repairs, other._still_cut, other._first_trace = None, None, {}, {}, None
        return other

    def dependence(self, recording: Recording, values: tuple[int, ...]) -> Dependence:
        """What depends on the values of one target; asked for before and after the backward, analysed once."""
        if self._analysed is None or self._analysed[0] is not recording or self._analysed[1] != values:
            if self._dependences is None or self._dependences[0] is not recording:
                self._dependences = recording, Dependences(recording)
            self._analysed = recording, values, self._dependences[1].of(values)
        return self._analysed[2]

    def recorder(self, seam: Intervention | None = None) -> Recorder:
        """A recorder for a run, of which the keeper knows: what the run makes does not stay in the user's memos."""
        recorder = Recorder(self.sites, self.before_write, seam)
        self._keeper.note_run(recorder)
        return recorder

    def noting(self) -> AbstractContextManager[object]:
        """The same for a run without a recorder, for the time of it."""
        return self._keeper.noting()

    def forward(
        self, *, draw: int = 0, seam: Intervention | None = None, workload: Workload | None = None, **options: Any
    ) -> Run:
        """One more forward pass from the initial state; options as for :func:`run_forward`.

        ``seam`` is the experiment that the run is for, if it sees or changes operations.
        With ``draw`` it draws other random numbers than the first one, and ``Run.drew`` tells from which generators.
        With ``workload`` the model gets the input of that one.
        """
        is_first, self._has_run = not self._has_run, True
        if not is_first:
            self._keeper.rewind()
        before: dict[str, object] = {}
        if draw:
            seed_generators(_SEED + draw)
        if draw or is_first:
            before = generator_states()
        recorder = self.recorder(seam)
        run = run_forward(
            workload or (self.workload if self._feed is None else self._feed(self.workload)),
            self.layers,
            self.parameters,
            sites=self.sites,
            recorder=recorder,
            outputs=self.outputs,
            there_before=self._keeper.tensors,
            **options,
        )
        if draw or is_first:
            after = generator_states()
            run.drew = frozenset(whose for whose, state in after.items() if before.get(whose) != state)
        if is_first:
            self.first_score, self.drew = score_of(run), run.drew
            self.replaced = replaced_in(self.workload.model, self.parameters, recorder, run.recording)
        if self._first_trace is None:
            self._first_trace = run.recording
        self._newest = run.recording, self.forward_count
        return run

    def is_newest(self, run: Run) -> bool:
        """Whether the model has not been run again since."""
        return self._newest is not None and self._newest[0] is run.recording and self._newest[1] == self.forward_count

    def reach_of_move(self, target: str) -> ReachOfMove:
        """Whether moving a layer's output moves just what its gradient speaks of, see :mod:`reach_of_move`."""
        if self._first_trace is None or target in self.parameters:
            return ReachOfMove()
        return reach_of_move(self._first_trace, target)

    @cached_property
    def parameter_names(self) -> frozenset[str]:
        """All names of the parameters that are registered in the model."""
        return frozenset(name for name, _ in named_parameters_in(self.workload.model, remove_duplicate=False))

    @property
    def first_trace(self) -> Recording | None:
        """What the first run recorded."""
        return self._first_trace

    def call_count(self, target: str) -> int:
        """How often the first run called a layer; 0 where there was none yet."""
        return 0 if self._first_trace is None else len(self._first_trace.calls_by_module.get(target, ()))

    def rewind(self) -> None:
        """Let what runs next start from the initial state, as every forward does."""
        self._keeper.rewind()

    def applications(self) -> tuple[Application, ...]:
        """What custom autograd Functions are given in a run."""
        if self._applications is None:
            given = GivenToFunctions()
            self.forward(seam=given)
            self._applications = tuple(given.applications)
        return self._applications

    def checksums(self) -> tuple[Checksummed, Checksummed]:
        """The unchanged run with checksums, twice: what differs between the two is noise."""
        if self._repeated is None:
            self._repeated = self.checksummed_base(), self._checksummed()
        return self._repeated

    def checksummed_base(self) -> Checksummed:
        """The first of the two."""
        if self._base is None:
            self._base = self._checksummed()
        return self._base

    def _checksummed(self) -> Checksummed:
        sums = Checksums()
        return Checksummed(run=self.forward(seam=sums), sums=sums)

    def forward_moved(
        self,
        target: str,
        seam: Intervention | None = None,
        index: Any = None,
        direction: float = 0,
        seed: int = 0,
        noise: float = 0.0,
    ) -> Run:
        """A forward in which the target's values are moved away, see :func:`moved`."""
        alter = moved(_SEED + 1_000 * seed, index, direction, noise)
        return self.forward_altered((target,), seam, alter)

    def forward_all_moved(self, parameters: Sequence[str]) -> Run:
        """A forward in which several parameters are moved away together."""
        return self.forward_altered(parameters, None, moved(_SEED))

    def forward_altered(self, targets: Sequence[str], seam: Intervention | None, alter: Alteration) -> Run:
        """A forward in which the values of some parameters, or of a layer, are altered."""
        if targets[0] not in self.parameters:
            return self.forward(seam=seam, alter=_only(targets[0], alter))
        # before the change, which rewinding would undo
        self._keeper.rewind()
        unmoved = ""
        originals = []
        for name in targets:
            tensor = self.parameters[name]
            original = tensor.detach().clone()
            try:
                failed = write(tensor, alter(name, 0, original), self.before_write)
            except CannotMoveError as error:
                failed = str(error)
            unmoved = unmoved or failed
            if not failed:
                originals.append((tensor, original))
        try:
            run = run_forward(
                self.workload,
                self.layers,
                self.parameters,
                sites=self.sites,
                recorder=self.recorder(seam),
                there_before=self._keeper.tensors,
            )
        finally:
            for tensor, original in originals:
                write(tensor, original)
        run.unmoved = unmoved
        return run

    def repair(self, plan: RepairPlan, target: str, *, enable: bool = False, index: Any = None) -> RepairOutcome:
        """Run again with the plan's places neutralised and report whether the gradient then reaches the target.

        ``enable`` switches recording on and lets the inputs require grad (or the parameters, where inputs are integers)
        and the parameter asked for.
        """
        gradients, reason = self._repaired(plan, target, enable)
        if gradients is None:
            return RepairOutcome(tried=False, reason=reason)
        measured = [measure(gradient, index) for gradient in gradients.by_target.get(target, ())]
        arrived = [m for m in measured if m.arrived]
        if not arrived:
            return RepairOutcome(tried=True, arrived=False)
        norms = [m.l2_norm for m in arrived if m.l2_norm is not None]
        return RepairOutcome(tried=True, arrived=True, l2_norm=math.hypot(*norms) if norms else None)

    def repaired_gradient(self, plan: RepairPlan, target: str) -> tuple[torch.Tensor | None, ...]:
        """The gradient at the target with the plan's places neutralised; empty when that run failed."""
        gradients, _ = self._repaired(plan, target, enable=False)
        return () if gradients is None else gradients.by_target.get(target, ())

    def repaired_gradients(
        self, plan: RepairPlan, parameters: Mapping[str, torch.Tensor]
    ) -> Mapping[str, tuple[torch.Tensor | None, ...]]:
        """What many parameters get with the plan's places neutralised: not kept, and empty when that run failed."""
        own, self.parameters = self.parameters, parameters
        try:
            found, _ = self._run_repair(plan, enable=False)
        finally:
            self.parameters = own
        return {name: gradients.by_target.get(name, ()) for name, gradients in found.items() if gradients.error is None}

    def still_cut(self, plan: RepairPlan, target: str) -> frozenset[tuple[str, int]]:
        """Where the run with the plan's places neutralised still gave numbers without a way back to the target."""
        found = self._still_cut.get(plan)
        return frozenset() if found is None else found.places_for(target)

    def _repaired(self, plan: RepairPlan, target: str, enable: bool) -> tuple[Gradients | None, str]:
        """What a target gets in a repaired run, or why there is none; one run serves all targets of its time.

        A parameter that has to be let require grad has a run of its own: another that was asked for beside it may be a
        buffer of a batch norm, which refuses.
        """
        switched = target if enable and target in self.parameters else ""
        key = (plan, enable, switched)
        found, reason = self._repairs.get(key, ({}, ""))
        if not reason and target not in found:
            found, reason = self._repairs[key] = self._run_repair(plan, enable, switched)
        gradients = found.get(target)
        if gradients is not None and gradients.error is not None:
            return None, f"backward raised {type(gradients.error).__name__}"
        return gradients, reason

    def _run_repair(self, plan: RepairPlan, enable: bool, switched: str = "") -> tuple[dict[str, Gradients], str]:
        was_enabled = torch.is_grad_enabled()
        repair = Repair(self.sites, plan)
        with (
            self._requiring_grad_at_leaves(switched) if enable else nullcontext(),
            torch.set_grad_enabled(enable or was_enabled),
        ):
            run = self.forward(seam=repair)
            self._still_cut[plan] = still_cut(repair, run, self.parameters)
            if run.failure is not None:
                return {}, f"the repaired run raised {run.failure.type_name}: {run.failure.message}"
            # where recording was off from the start, switching it on is the repair
            applied = repair.applied or (enable and not was_enabled)
            if plan and (repair.refused or not applied):
                named = " and ".join(f"`{name}`" for name in sorted(repair.refused)) or "this operation"
                return {}, f"gradflow cannot neutralise {named}"

            def run_again() -> Run:
                return self.forward(seam=Repair(self.sites, plan))

            return each_by_itself(differentiate(run, self.parameters), run_again, self.parameters), ""

    @contextmanager
    def _requiring_grad_at_leaves(self, name: str) -> Iterator[None]:
        """The inputs (or all parameters, where those are integers) and the parameter asked for require grad."""
        switched: list[torch.Tensor] = []
        inputs = [*filter(_can_require_grad, tensors_in(self._inputs))]
        # where the input is made of whole numbers, the history has to begin at the weights
        leaves = inputs or [*filter(_can_require_grad, self.workload.model.parameters())]
        asked = [self.parameters[name]] if name else []
        for tensor in (*leaves, *filter(_can_require_grad, asked)):
            if not tensor.requires_grad:
                tensor.requires_grad_(True)
                switched.append(tensor)
        try:
            yield
        finally:
            for tensor in switched:
                tensor.requires_grad_(False)

    def goals(self, run: Run, target: str) -> list[Any]:
        """The gradient edges of a target in a run; none where it has none."""
        if target in self.parameters:
            tensor = self.parameters[target]
            return [torch.autograd.graph.get_gradient_edge(tensor)] if tensor.requires_grad else []
        return [goal for activation in run.live.activations.get(target, ()) for goal in activation.goals]

    def scan(self, target: str, *, count_zeros: bool = False) -> tuple[tuple[NodeFlow, ...], str]:
        """Run again and watch backward node by node on the way to the target, unless that was done."""
        if target in self.scanned and not count_zeros:
            return self.scanned[target], ""
        run = self.forward()
        goals = self.goals(run, target)
        if target in self.parameters and not goals:
            return (), "it does not require grad any more when backward begins"
        if run.failure is not None or not goals:
            return (), "the second run gave no gradient edge"
        flows, _, reason = scan_backward(run, goals, count_zeros=count_zeros)
        return flows, reason


def _only(target: str, alter: Alteration) -> Alteration:
    return lambda name, call, value: alter(name, call, value) if name == target else value


def _can_require_grad(tensor: torch.Tensor) -> bool:
    return tensor.is_leaf and (tensor.is_floating_point() or tensor.is_complex()) and not tensor.is_inference()
