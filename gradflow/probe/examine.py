"""Decides which experiments can change the answer for one target, and runs only those."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from gradflow.graph.cut_group import place_of
from gradflow.graph.dependence import Dependence, analyse
from gradflow.graph.derivatives import is_choice
from gradflow.probe.absorption import SUSPICIOUSLY_SMALL, absorbing_operation, is_rounding_error
from gradflow.probe.cancellation import may_have_cancelled
from gradflow.probe.custom_functions import check_custom_functions
from gradflow.probe.derivative_check import DerivativeCheck
from gradflow.probe.differences.locating import located
from gradflow.probe.directional import check_derivative
from gradflow.probe.evidence import Evidence, Influence, LeftOutBy, PartialLoss, RepairOutcome, SourceState
from gradflow.probe.factors.why_zero import WhyZero, why_zero
from gradflow.probe.factors.zero_parameters import named_factors
from gradflow.probe.facts.bad_number import BadNumber
from gradflow.probe.failed_backward import explain_backward_error
from gradflow.probe.formula_check import FormulaCheck
from gradflow.probe.forward_values.first_not_finite import made_before
from gradflow.probe.gradient import Gradients, measured_all, said_of_unread
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.layer_view import NotCalled
from gradflow.probe.losses.partial_causes import stopped_while_switched_off
from gradflow.probe.losses.run_again import without_cuts_by_checkpoints
from gradflow.probe.moving.at_ends import look_at_ends
from gradflow.probe.moving.influence import find_influence
from gradflow.probe.moving.without_effect import brings_nothing, only_chooses_in_vain
from gradflow.probe.never_ran.raised import raised_before
from gradflow.probe.other_runs.left_out_by import left_out_by, said_of
from gradflow.probe.outside.behind_old_values import why_seen_no_more
from gradflow.probe.outside.entering import rows_entered_unseen, unseen_ways
from gradflow.probe.outside.held import what_ran_within
from gradflow.probe.outside.kept_from_before import kept_from_before
from gradflow.probe.outside.unrecorded import why_unrecorded
from gradflow.probe.partial_losses import PartialLosses
from gradflow.probe.repair_plans import repair_together
from gradflow.probe.returned_values import ReturnedValues, find_returned_values, follow_returned, number_exits
from gradflow.probe.source_state import source_state, switched_off
from gradflow.probe.substitutes import substitutes
from gradflow.probe.targets.other_outputs import losses_at_other_outputs
from gradflow.probe.unrun_reads import unrun_read
from gradflow.probe.unused import explain_unused
from gradflow.record.run import Run
from gradflow.recording import Recording
from gradflow.recording.gradients import Measured, NodeFlow
from gradflow.source.custom_backward import function_spans

__all__ = ["examine"]


def examine(
    laboratory: Laboratory,
    run: Run,
    gradients: Gradients,
    target: str,
    *,
    slice_text: str = "",
    index: Any = None,
    verify: bool = False,
    returned: ReturnedValues | None = None,
    redraw: bool = False,
    zero_starts: tuple[str, ...] | None = None,
    faint: float = SUSPICIOUSLY_SMALL,
) -> Evidence:
    """Collect the evidence about one target from the base run and the experiments that it calls for.

    ``gradients`` is what the target got; what another one got, or was raised for it, has no part in the answer. With
    ``verify``, one that arrives is also compared with how the score moves; with ``redraw``, a layer that did not run is
    looked for in runs that draw other random numbers. ``returned`` is what became of the values that left torch,
    ``zero_starts`` what keeps a gradient zero, where that is known already. One whose largest entry is less than
    ``faint`` is looked into, whether it is rounding error; an infinite one says that it is.
    """
    asked = (laboratory, run, gradients, target, slice_text, index, verify)
    return _Examination(*asked, returned=returned, redraw=redraw, starts=zero_starts, faint=faint).evidence()


NOT_FOLLOWED = (
    "whether the gradient is whole, because what was written to the memory of this output could not be followed"
)


class _Examination:
    def __init__(
        self,
        laboratory: Laboratory,
        run: Run,
        gradients: Gradients,
        target: str,
        slice_text: str,
        index: Any,
        verify: bool,
        *,
        returned: ReturnedValues | None,
        redraw: bool,
        starts: tuple[str, ...] | None,
        faint: float,
    ) -> None:
        self.laboratory = laboratory
        self.recording: Recording = run.recording
        self.run = run
        self.gradients = gradients
        self.target = target
        self.slice_text = slice_text
        self.index = index
        self.values = self.recording.layer_values.get(target, ())
        self.is_parameter = target in laboratory.parameters
        self.verify = verify
        self.returned = returned
        self.redraw = redraw
        self.starts = starts
        self.faint = faint
        self.derivative: DerivativeCheck | None = None
        self.undetermined: list[str] = [] if target not in gradients.partly_seen else [NOT_FOLLOWED]
        self.flows: tuple[NodeFlow, ...] = ()
        self.is_cancelled = False
        self.absorbed_at = -1
        self.why_zero = WhyZero()
        self.made_in_forward: BadNumber | None = None
        self.partial: tuple[PartialLoss, ...] = ()
        self.formulas: tuple[FormulaCheck, ...] = ()
        self.substitutes: frozenset[int] = frozenset()
        self.unfollowed: list[str] = []
        self.entered: tuple[int, ...] = ()
        self.bridged: frozenset[int] = frozenset()

    def evidence(self) -> Evidence:
        laboratory, target, recording = self.laboratory, self.target, self.recording
        measured = measured_all(self.gradients, target)
        sliced = measured_all(self.gradients, target, self.index) if self.index is not None else ()
        dependence = laboratory.dependence(recording, self.values)
        source = source_state(recording, self._values_used(dependence))
        influence, together = cast("Influence | None", None), cast("RepairOutcome | None", None)
        repairs: dict[tuple[str, int], RepairOutcome] = {}
        arrived = any(m.arrived for m in measured)
        parameter = laboratory.parameters.get(target)
        is_trainable = parameter is None or parameter.requires_grad
        if not is_trainable and not arrived:
            source = switched_off(recording, self.values) or source
        error = None
        not_called = explain_unused(laboratory, recording, target)
        unrecorded = self._why_unrecorded(dependence, not_called)
        left_out_by = "" if unrecorded else self._left_out_by(not_called)
        kept = "" if unrecorded or left_out_by else self._kept_from_before(not_called)
        unrecorded = unrecorded or kept
        if self.run.failure is not None:
            pass  # nothing came back, and running it again would fail again
        elif self.gradients.error is not None:
            error = explain_backward_error(laboratory, self.gradients.error, target, recording)
        elif unrecorded and not self.values:
            self.undetermined.append(f"whether {self.run.description} depends on `{target}`, because {unrecorded}")
        elif self.values and not arrived:
            dependence = self._beside_a_choice(dependence)
            if not dependence.score_depends and not laboratory.has_values:
                self.undetermined.append(
                    "whether the score depends on it by a detour, because meta tensors have no values"
                )
            elif not dependence.score_depends:
                influence = find_influence(laboratory, target, dependence.exits, self.index)
                if unrecorded and not influence.matters:
                    influence = Influence(matters=None, reason=unrecorded)
                elif influence.matters and influence.bridges:
                    dependence = analyse(recording, self.values, influence.bridges)
            elif only_chooses_in_vain(laboratory, recording, target, dependence, self.index):
                influence = Influence(matters=False)
            if dependence.score_depends:
                repairs, together = repair_together(laboratory, recording, dependence, source, target, self.index)
                source, dependence = self._beside_checkpoints(source, dependence, arrived=arrived)
                if influence is None and brings_nothing(laboratory, target, repairs, self.index):
                    influence = Influence(matters=False)
                if source.recorded and dependence.score_carries and is_trainable:
                    self.flows = self._scan()
        elif arrived and not self._is_unread((*measured, *sliced)):
            source, dependence = self._beside_checkpoints(source, dependence, arrived=arrived)
            dependence = self._look_at_what_arrived(sliced or measured, measured, dependence)
        module = laboratory.layers.get(target)
        activations = self.run.live.activations.get(target, [])
        return Evidence(
            target=target,
            kind="parameter" if self.is_parameter else "layer",
            type_name=type(module if module is not None else parameter).__name__,
            score=self.run.description,
            recording=recording,
            dependence=dependence,
            source=source,
            measured=measured,
            sliced=sliced,
            slice=self.slice_text,
            call_count=1 if self.is_parameter else len(activations),
            shape=tuple(parameter.shape) if parameter is not None else activations[0].shape if activations else None,
            is_trainable=is_trainable,
            is_buffer=self.is_parameter and target not in laboratory.parameter_names,
            influence=influence,
            repairs=repairs,
            repaired_together=together,
            partial=self.partial,
            formulas=self.formulas,
            entered=self.entered,
            has_substitutes=self._is_on_the_way(dependence, self.substitutes),
            derivative=self.derivative if self.verify else None,
            flows=self.flows,
            backward_error=error,
            forward_failure=self.run.failure,
            not_called=not_called,
            left_out_by=left_out_by,
            may_be_kept=bool(kept),
            frozen_at=self._frozen_at(source),
            registered_at=laboratory.workload.provenance.registered_at,
            objective_span=laboratory.workload.objective.span,
            function_spans=function_spans(self.run.live.functions),
            is_cancelled=self.is_cancelled,
            made_in_forward=self.made_in_forward,
            is_partly_seen=target in self.gradients.partly_seen,
            absorbed_at=self.absorbed_at,
            taking_hooks=self.why_zero.taking_hooks,
            undetermined=(*self.undetermined, *self.unfollowed),
            unfollowed=tuple(self.unfollowed),
            unrecorded=unrecorded,
            unrun_read=unrun_read(laboratory, recording, target) if self.is_parameter else None,
            replaced=laboratory.replaced.get(target),
            zero_starts=self.why_zero.zero_starts,
            starts_of_rest=self.why_zero.starts_of_rest,
        )

    def _is_unread(self, measured: Sequence[Measured]) -> bool:
        """Whether the numbers of what arrived cannot be looked at; then that is said."""
        if not self.laboratory.has_values:
            self.undetermined.append(
                "whether the gradient is zero, finite and whole, because meta tensors have no values"
            )
            return True
        is_unread = any(one.is_unread for one in measured)
        if is_unread:
            self.unfollowed.append(said_of_unread(self.gradients, self.target))
        return is_unread

    def _why_unrecorded(self, dependence: Dependence, not_called: NotCalled | None) -> str:
        reason = why_unrecorded(self.recording, self.target, dependence, is_layer=not self.is_parameter)
        is_seen = self.values or self.is_parameter or self.recording.unseen_calls.get(self.target)
        # what compiled code gave is made by no recorded operation either, and in this run
        is_compiled = not_called is not None and not_called.kind == "compiled-hooks"
        if reason or is_seen or is_compiled or self.run.failure is not None:
            return reason
        within = what_ran_within(self.recording, self.target, not_called)
        return within or why_seen_no_more(self.laboratory, self.recording, self.target)

    def _kept_from_before(self, not_called: NotCalled | None) -> str:
        is_seen = self.values or self.is_parameter or self.recording.unseen_calls.get(self.target)
        is_no_memo = not_called is not None and not_called.is_named_nowhere
        if is_seen or is_no_memo or self.run.failure is not None:
            return ""
        is_known = raised_before(self.recording, self.target) is not None
        is_kept_out = not_called is None or not_called.kind == "layer-not-called"
        return kept_from_before(self.recording) if is_kept_out and not is_known else ""

    def _left_out_by(self, not_called: NotCalled | None) -> LeftOutBy:
        """What left out a layer that did not run and that further runs call."""
        if not self.redraw or not_called is None or not_called.kind != "layer-not-called":
            return ""
        found = left_out_by(self.laboratory, self.target)
        if found:
            self.undetermined.append(said_of(found, self.target))
        return found

    def _beside_checkpoints(
        self, source: SourceState, dependence: Dependence, *, arrived: bool
    ) -> tuple[SourceState, Dependence]:
        """What is cut besides where all that a checkpoint did not record ran again in backward."""
        if self.target not in self.gradients.ran_again:
            return source, dependence
        return without_cuts_by_checkpoints(source, dependence, arrived=arrived)

    def _beside_a_choice(self, dependence: Dependence) -> Dependence:
        """Where on every way that was recorded a choice is made, numbers may come back into the score beside it."""
        is_over_choice = any(is_choice(self.recording, group) for group in dependence.needed)
        if not dependence.score_depends or not is_over_choice or not self.laboratory.has_values:
            return dependence
        dependence = self._with_values_that_came_back(dependence)
        if any(is_choice(self.recording, group) for group in dependence.needed):
            self.entered = rows_entered_unseen(self.laboratory, self.recording, dependence, (self.target,))
        return dependence

    def _look_at_what_arrived(
        self, looked_at: tuple[Measured, ...], measured: tuple[Measured, ...], dependence: Dependence
    ) -> Dependence:
        """Whether it is zero, finite, whole and right; with the ways through NumPy and numbers, where they matter."""
        if all(m.is_zero for m in looked_at if m.arrived) or any(not m.is_finite for m in measured if m.arrived):
            self.flows = self._scan()
            if all(m.is_zero for m in looked_at if m.arrived):
                self.flows, unknown = look_at_ends(
                    self.laboratory, self.recording, self.target, self.flows, dependence, self.index
                )
                self.undetermined += unknown
                self.why_zero = why_zero(
                    self.laboratory, self.recording, self.flows, self.target, self.index, self.starts
                )
                self.undetermined += self.why_zero.undetermined
            birth = next((flow for flow in self.flows if flow.incoming_finite and not flow.outgoing_finite), None)
            if birth is not None and birth.operation >= 0:
                self.made_in_forward = made_before(self.laboratory, self.recording, birth.operation)
            if any(not m.is_finite for m in measured if m.arrived):
                return dependence
            if dependence.sides and not self.why_zero.taking_hooks and all(m.is_zero for m in measured if m.arrived):
                self.substitutes = substitutes(self.recording, self._formulas(dependence))
                self.unfollowed += self._look_at_other_ways(dependence)
            if self.verify:
                self._verify(dependence, is_explained=bool(self.partial) or any(flow.is_end for flow in self.flows))
            return dependence
        largest = max((m.max_abs or 0.0 for m in looked_at if m.arrived), default=0.0)
        if largest < self.faint:
            self._look_for_cancellation(dependence, largest)
        if self.is_cancelled:
            return dependence
        dependence = self._with_values_that_came_back(dependence)
        self.formulas = self._formulas(dependence)
        self.substitutes = substitutes(self.recording, self.formulas)
        not_verifiable = [*self._look_at_other_ways(dependence), *self._look_at_other_outputs()]
        self._look_for_unseen_ways(dependence)
        if self.verify:
            odd = any(formula.outcome not in ("right", "undetermined") for formula in self.formulas)
            is_replaced = self._is_on_the_way(dependence, self.substitutes)
            self._verify(dependence, is_explained=bool(self.partial) or odd or is_replaced)
        self.unfollowed += not_verifiable
        return dependence

    def _look_at_other_ways(self, dependence: Dependence) -> Sequence[str]:
        """Whether what the whole ways bring, be it zero, lacks what others would bring that are cut.

        Gives what is not known of those on which the score moves in steps.
        """
        given = self.gradients.by_target[self.target]
        losses = PartialLosses(
            self.laboratory,
            self.recording,
            self.target,
            given,
            self.substitutes,
            self._of_all,
            runs_again=self.target in self.gradients.ran_again,
        )
        self.partial = losses.on_side_ways(dependence)
        self.undetermined += losses.undetermined
        self.unfollowed += losses.unmeasured
        return losses.in_steps

    def _look_at_other_outputs(self) -> list[str]:
        """What the layer returned besides may lack its gradient; the result is of what that is not known."""
        if self.is_parameter or self.index is not None:
            return []
        elsewhere = losses_at_other_outputs(self.laboratory, self.run, self.target, self.substitutes)
        known = {place_of(self.recording, loss.group) for loss in self.partial}
        self.partial += tuple(loss for loss in elsewhere.losses if place_of(self.recording, loss.group) not in known)
        self.undetermined += elsewhere.undetermined
        return [*elsewhere.unmeasured, *elsewhere.in_steps]

    def _look_for_unseen_ways(self, dependence: Dependence) -> None:
        """Whether something that follows the target comes into the record, and the gradient lacks what came by it."""
        if self.partial or self._is_on_the_way(dependence, self.substitutes):
            return  # it is known to be another than the derivative
        self.unfollowed += unseen_ways(
            self.laboratory, self.recording, dependence, (self.target,), f"`{self.target}`", self.bridged
        )

    def _is_on_the_way(self, dependence: Dependence, rows: frozenset[int]) -> bool:
        made = (value for row in rows for value in self.recording.outputs_of(row))
        return any(dependence.depends[value] and dependence.reaches[value] for value in made)

    def _look_for_cancellation(self, dependence: Dependence, largest: float) -> None:
        self.flows = self._scan()
        self.is_cancelled = any(flow.is_end for flow in self.flows)
        if self.is_cancelled or (self.faint < math.inf and not may_have_cancelled(self.flows)):
            return
        if is_rounding_error(self.laboratory, self.target, largest, self.index):
            self.is_cancelled = True
            self.absorbed_at = absorbing_operation(self.laboratory, self.recording, dependence, self.target)

    def _values_used(self, dependence: Dependence) -> tuple[int, ...]:
        """The target's values that the score uses, where it uses only those of some calls; else all."""
        return tuple(value for value in self.values if dependence.reaches[value]) or self.values

    def _frozen_at(self, source: SourceState) -> Any:
        frozen_at = self.laboratory.workload.provenance.frozen_at
        if self.is_parameter:
            return frozen_at.get(self.target)
        own = [name for name in source.frozen_parameters if name.startswith(f"{self.target}.")]
        for name in (*own, *source.frozen_parameters):
            if name in frozen_at:
                return frozen_at[name]
        return None

    def _scan(self) -> tuple[Any, ...]:
        flows, reason = self.laboratory.scan(self.target, count_zeros=self.index is not None)
        if reason:
            self.undetermined.append(f"where the gradient is lost on its way back, because {reason}")
        return named_factors(self.laboratory, self.recording, flows, self.target)

    def _with_values_that_came_back(self, dependence: Dependence) -> Dependence:
        """The same, also through NumPy and Python numbers, where values left torch that can have a gradient."""
        exits = number_exits(self.recording, dependence)
        returned = self.returned if self.returned is not None else find_returned_values(self.laboratory, exits)
        followed = follow_returned(self.recording, self.values, dependence, exits, returned)
        self.unfollowed += followed.undetermined
        self.bridged = followed.entered
        return followed.dependence

    def _derivative(self) -> DerivativeCheck:
        """The gradient against how the score moves, measured once."""
        if self.derivative is None:
            self.derivative = check_derivative(self.laboratory, self.target, self.index, thorough=self.verify)
        return self.derivative

    def _of_all(self, *, is_far: bool = False) -> DerivativeCheck:
        """The same for the whole activation, where only a part of it was asked for; or for moves far larger."""
        if is_far:
            return check_derivative(self.laboratory, self.target, thorough=False, is_far=True)
        return self._derivative() if self.index is None else check_derivative(self.laboratory, self.target)

    def _verify(self, dependence: Dependence, *, is_explained: bool) -> None:
        """Compare with the score's own movements; what differs and is not explained is looked for along the way."""
        check = self._derivative()
        if check.outcome == "agrees":
            self.unfollowed.clear()  # measured: nothing is missing, by whatever way it may have come
        if check.outcome != "differs" or is_explained:
            return
        self.partial += stopped_while_switched_off(dependence, check.relative_error)
        if self.partial:
            return
        self.derivative = located(self.laboratory, self.recording, dependence, self.target, check)

    def _formulas(self, dependence: Dependence) -> tuple[FormulaCheck, ...]:
        """The custom Functions on the way, each checked against its own forward."""
        checks = check_custom_functions(self.laboratory, self.recording, dependence, self.run.live.functions)
        reasons = {check.function: check.reason for check in checks if check.outcome == "undetermined"}
        self.undetermined.extend(
            f"whether the backward of `{name}` is right, because {reason}" for name, reason in reasons.items()
        )
        return checks
