"""Compares autograd's gradient at a target with how the score moves when the target is moved, in float64.

In float32 the rounding of a whole network drowns the differences; here are jitter against kinks (ReLU outputs that are
exactly zero, equal maxima in a pooling window), several step sizes, a noise gate, and several base points of which one
must agree. What is differentiated is one function: the score, where a constant is added to what each call of the target
returns. The constants are the same in every run, also where an earlier call has moved what a later one returns. Where
that differs and a layer returns symmetric matrices, symmetric ones are added: see
:mod:`gradflow.probe.derivative.symmetric`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from gradflow.layers.names import module_named
from gradflow.load.module_tree import buffers_in, parameters_in
from gradflow.probe.central_differences import STEPS, Comparison, Quotient, compare
from gradflow.probe.derivative.implicit_draws import why_not_at_one_seed
from gradflow.probe.derivative.made_again import MadeAgain
from gradflow.probe.derivative.saved_values import SavedValues
from gradflow.probe.derivative.symmetric import is_symmetric, symmetric_part
from gradflow.probe.derivative_check import DerivativeCheck
from gradflow.probe.double_precision import DoubleCopies, DoublePrecision, in_double, with_state
from gradflow.probe.gradient import gradients_at
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.lone_function import noise_like, size_of
from gradflow.probe.losses.run_again import is_in_checkpoint
from gradflow.program_warnings import warnings_as_without_gradflow
from gradflow.record.backward.dense_values import inner_product
from gradflow.record.capture import Activation, activation_of, chosen_position
from gradflow.record.conduct.whose_error import reason_of, run_theirs
from gradflow.record.moving import why_unmovable, write
from gradflow.record.observed import eager_compilation
from gradflow.record.views import Views
from gradflow.torch_facts.dispatch_modes import outside_dispatch
from gradflow.values import tensors_in

__all__ = ["check_derivative", "gradient_in_double", "gradients_in_double"]

_UNMOVED = 0
_SEEDS = (1, 2)
"""Base points: with noise of one seed or another added to the target's values, and the model's own."""
_DIRECTIONS = 2
_JITTER = 0.01
_FAR_STEPS = (1e-2, 3e-3)
_FAR_TOLERANCE = 5e-3
_STEPS_ABOVE_ROUNDING = (1e-3, 1e-4)
"""Where a part works in float32: of smaller steps, a value that is rounded may see nothing at all."""
_MOST_BYTES = 8 * 1024**3

_Alter = Callable[[int, torch.Tensor], torch.Tensor]


def check_derivative(
    laboratory: Laboratory,
    target: str,
    index: Any = None,
    *,
    thorough: bool = True,
    is_far: bool = False,
    besides: Sequence[str] = (),
) -> DerivativeCheck:
    """Compare the derivative of the score at a module's output, or at a parameter, with central differences.

    Five forward passes where it agrees, about forty where it does not; without ``thorough``, five and nine.

    Parameters
    ----------
    laboratory
        Runs the model; its state is put back before each run.
    target
        Qualified name of a module or parameter.
    index
        The part of the activation that is moved; all of it by default.
    thorough
        Otherwise fewer base points and step sizes, for where a loss is suspected already.
    is_far
        Moves by a hundredth, and only asks whether the score still roughly follows the gradient: it does where the
        score is smooth, and does not where it moves in small steps, of which smaller moves see nothing.
    besides
        Further parameters, which are moved with the first at the same time.
    """
    before = laboratory.forward_count
    reason = laboratory.reach_of_move(target).reason
    if reason:
        return DerivativeCheck(outcome="unclear", reason=reason)
    try:
        subject = _MovedModel(laboratory, target, index, thorough, besides)
        comparisons = _until_one_agrees(subject, thorough=thorough, is_far=is_far)
        among_symmetric = False
        if comparisons[-1].outcome != "agrees" and subject.is_symmetric:
            subject.keeps_symmetric = True
            among_symmetric = _until_one_agrees(subject, thorough=thorough, is_far=is_far)[-1].outcome == "agrees"
    except _NotComparableError as error:
        return DerivativeCheck(outcome="unclear", reason=str(error), forward_count=laboratory.forward_count - before)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever the model raises in float64 is the reason)
        reason = reason_of(error, "the model cannot be run in float64")
        return DerivativeCheck(outcome="unclear", reason=reason, forward_count=laboratory.forward_count - before)
    count = laboratory.forward_count - before
    if comparisons[-1].outcome == "agrees" or among_symmetric:
        return DerivativeCheck(outcome="agrees", forward_count=count, is_symmetric=among_symmetric)
    if subject.has_rounded:
        reason = "a part of the model works in lower precision all the same, which rounds the differences of the score"
        return DerivativeCheck(outcome="unclear", reason=reason, forward_count=count)
    recording = laboratory.first_trace
    if recording is not None and (reason := why_not_at_one_seed(recording, target)):
        return DerivativeCheck(outcome="unclear", reason=reason, forward_count=count)
    if any(comparison.outcome != "differs" for comparison in comparisons):
        reason = "the differences of the score do not settle at any step size"
        return DerivativeCheck(outcome="unclear", reason=reason, forward_count=count)
    error_size = min(comparison.relative_error for comparison in comparisons)
    return DerivativeCheck(outcome="differs", relative_error=error_size, forward_count=count)


def _until_one_agrees(subject: _MovedModel, *, thorough: bool, is_far: bool) -> list[Comparison]:
    """The comparisons around one base point after another, up to the first that agrees."""
    comparisons: list[Comparison] = []
    for seed in subject.base_points(thorough):
        comparisons.append(subject.compared(seed, is_far=is_far))
        if comparisons[-1].outcome == "agrees":
            break
    return comparisons


def gradient_in_double(laboratory: Laboratory, target: str) -> tuple[torch.Tensor | None, ...]:
    """The gradient at each call of the target with everything in float64; empty where the model cannot be run so."""
    try:
        return _MovedModel(laboratory, target, None, False).gradients()
    except (Exception, SystemExit):  # noqa: BLE001  (whatever the model raises in float64: then nothing can be said)
        return ()


def gradients_in_double(laboratory: Laboratory, parameters: Sequence[str]) -> Mapping[str, torch.Tensor | None]:
    """The same for several parameters by one run; empty where it failed, and without those that are not registered."""
    try:
        return _MovedModel(laboratory, parameters[0], None, False).gradients_of(parameters)
    except (Exception, SystemExit):  # noqa: BLE001  (as above)
        return {}


class _MovedModel:
    """The score as a function of the values at the target's output, at each of its calls."""

    def __init__(
        self, laboratory: Laboratory, target: str, index: Any, thorough: bool, besides: Sequence[str] = ()
    ) -> None:
        workload = laboratory.workload
        self._laboratory = laboratory
        self._target = target
        self._index = index
        self._enough = 3 if thorough else 2
        self._workload = workload
        self._parameters = (target, *besides) if target in laboratory.parameters else ()
        # a parameter is moved freely by whoever trains it
        self.is_symmetric = not self._parameters and index is None
        self.keeps_symmetric = False
        self.has_rounded = False
        self._has_several_calls = not self._parameters and laboratory.call_count(target) > 1
        tensors = (*parameters_in(workload.model), *buffers_in(workload.model))
        if sum(tensor.numel() for tensor in tensors) * 8 > _MOST_BYTES:
            raise _NotComparableError("the parameters of the model in float64 would take more than 8 GiB")
        self._copies = DoubleCopies(workload.model)
        registered = self._copies.fresh() if self._parameters else {}
        unregistered = next((name for name in self._parameters if name not in registered), None)
        if unregistered is not None:
            raise _NotComparableError(f"`{unregistered}` is not registered, so it cannot be replaced")

    def gradients(self) -> tuple[torch.Tensor | None, ...]:
        """Autograd's answer, where the target is as it is."""
        return tuple(self._score(lambda call, value: value, wants_gradients=True).gradients)

    def gradients_of(self, parameters: Sequence[str]) -> Mapping[str, torch.Tensor | None]:
        """The same at several parameters, in one backward pass."""
        return self._score(lambda call, value: value, named=parameters).named

    def base_points(self, thorough: bool) -> tuple[int, ...]:
        """The seeds of the base points that are tried until one agrees.

        Noise at one call of a target comes in at the next, where code of the program's own (a hook, an attribute of a
        ``ctx``) may have kept numbers from before: there the model's own values come first.
        """
        if self._has_several_calls:
            return (_UNMOVED, *_SEEDS) if thorough else (_UNMOVED, *_SEEDS[:1])
        return (*_SEEDS, _UNMOVED) if thorough else _SEEDS[:1]

    def compared(self, seed: int, *, is_far: bool = False) -> Comparison:
        """Autograd against differences around one base point."""
        jitters: list[float] = []
        sizes: list[float] = []

        def noise(number: int, call: int, like: torch.Tensor) -> torch.Tensor:
            drawn = noise_like(like, _generator(seed, call, number))
            return symmetric_part(drawn) if self.keeps_symmetric else drawn

        def at_base_point(call: int, value: torch.Tensor) -> torch.Tensor:
            return value + jitters[call] * noise(0, call, value) if jitters[call] else value

        def along(number: int, call: int, like: torch.Tensor) -> torch.Tensor:
            return self._masked(noise(number + 1, call, like))

        def look(call: int, value: torch.Tensor) -> torch.Tensor:
            self.is_symmetric = self.is_symmetric and is_symmetric(value)
            jitters.append(0.0 if seed == _UNMOVED else _JITTER * size_of(value))
            point = at_base_point(call, value)
            sizes.append(size_of(point))
            return point

        saved = SavedValues() if self._has_several_calls and seed != _UNMOVED else None
        at_base = self._score(look, saved, wants_gradients=True)
        if not sizes:
            raise _NotComparableError(f"`{self._target}` gave no tensor in float64")
        if any(each.base is not None and each.base.is_lost for each in at_base.taken):
            raise _NotComparableError(
                f"what was written to the memory of the output of `{self._target}` could not be followed"
            )
        recording = self._laboratory.first_trace
        if recording is not None and is_in_checkpoint(recording, self._target):
            raise _NotComparableError("the gradient comes to calls that a reentrant checkpoint makes in backward")
        score, gradients = at_base.score, at_base.gradients
        base = float(score.detach())
        predicted = [0.0] * _DIRECTIONS
        for call, gradient in enumerate(gradients):
            if gradient is None:
                continue
            for number in range(_DIRECTIONS):
                predicted[number] += sizes[call] * inner_product(gradient, along(number, call, gradient))
        del at_base, score, gradients

        def moved(number: int, step: float) -> float:
            def alter(call: int, value: torch.Tensor) -> torch.Tensor:
                if call >= len(sizes):
                    return value
                point = at_base_point(call, value)
                return point + step * sizes[call] * along(number, call, point)

            return float(self._score(alter).score.detach())

        def quotient(number: int, step: float) -> Quotient:
            difference = moved(number, step) - moved(number, -step)
            rounding = torch.finfo(torch.float64).eps * abs(base) / step
            return Quotient(value=difference / (2 * step), rounding=rounding)

        if is_far:
            return compare(predicted, quotient, steps=_FAR_STEPS, tolerance=_FAR_TOLERANCE)
        steps = _STEPS_ABOVE_ROUNDING if self.has_rounded else STEPS
        return compare(predicted, quotient, steps=steps, enough=self._enough)

    def _note_rounding(self) -> None:
        self.has_rounded = True

    def _masked(self, direction: torch.Tensor) -> torch.Tensor:
        if self._index is None:
            return direction
        mask = torch.zeros_like(direction)
        mask[self._index] = 1
        return direction * mask

    def _score(
        self,
        alter: _Alter,
        saved: SavedValues | None = None,
        *,
        wants_gradients: bool = False,
        named: Sequence[str] = (),
    ) -> _Point:
        workload, laboratory = self._workload, self._laboratory
        laboratory.rewind()
        laboratory.forward_count += 1
        state = self._copies.fresh()
        inputs, keywords = in_double(tuple(workload.inputs)), in_double(dict(workload.keyword_inputs))
        moving = _Moving(laboratory, self._target, alter, saved, keeps=wants_gradients)
        handle = None
        fresh: dict[int, torch.Tensor] = {}
        for number, name in enumerate(self._parameters):
            with torch.no_grad():
                fresh[id(state[name])] = alter(number, state[name]).detach().requires_grad_()
        if fresh:
            state = {name: fresh.get(id(tensor), tensor) for name, tensor in state.items()}
        else:
            # before the program's own hooks: what they keep of the output is part of how the score depends on it
            handle = module_named(workload.model, self._target).register_forward_hook(moving, prepend=True)
        precision = DoublePrecision(moving.views.look, self._note_rounding)

        leaves = {name: state[name] for name in named if name in state}

        def compute() -> tuple[torch.Tensor, list[torch.Tensor | None]]:
            with nullcontext() if saved is None else saved.watching(), precision:
                output = run_theirs(workload.model, inputs, keywords)
                score, _, _ = workload.objective.compute(output)
            moving.views.look()
            # the parameters stay in their place meanwhile: a backward may run the forward again
            moving.made_again.is_on = True
            wanted = wants_gradients and not moving.unmoved and score.dtype == torch.float64
            if leaves:
                return score, _asked_in_double(score, list(leaves.values()), precision)
            return score, _gradients(score, tuple(moving.taken), tuple(fresh.values()), precision) if wanted else []

        try:
            with torch.enable_grad(), eager_compilation(), warnings_as_without_gradflow(), laboratory.noting():
                score, gradients = with_state(workload.model, state, compute)
        finally:
            if handle is not None:
                handle.remove()
        if moving.unmoved:
            raise _NotComparableError(f"the output of `{self._target}` cannot be moved: {moving.unmoved}")
        if score.dtype != torch.float64:
            kind = str(score.dtype).removeprefix("torch.")
            raise _NotComparableError(f"with a model in float64 the score comes out in {kind}")
        by_name = dict(zip(leaves, gradients, strict=True)) if leaves else {}
        return _Point(score=score, taken=tuple(moving.taken), gradients=gradients, named=by_name)


class _Moving:
    """A hook that moves what the target returns, at each of its calls; also at those that a backward makes again."""

    def __init__(
        self, laboratory: Laboratory, target: str, alter: _Alter, saved: SavedValues | None, *, keeps: bool
    ) -> None:
        self.views = Views()
        self.taken: list[Activation] = []
        self.unmoved = ""
        self.made_again = MadeAgain()
        self._laboratory = laboratory
        self._position = laboratory.outputs.get(target, 0)
        self._alter = alter
        self._saved = saved
        self._keeps = keeps

    def __call__(self, module: torch.nn.Module, arguments: Any, output: Any) -> None:
        with outside_dispatch():
            tensors = tensors_in(output)
            if tensors:
                self._move(tensors, chosen_position(tensors, self._position))

    def _move(self, tensors: Sequence[torch.Tensor], position: int) -> None:
        moved = tensors[position]
        if reason := why_unmovable(moved):
            self.unmoved = reason
        elif self.made_again.is_on:
            self.unmoved = self.made_again.move(moved, self._laboratory.before_write) or self.unmoved
        else:
            with torch.no_grad():
                fresh = self._alter(len(self.taken), moved)
                if self._keeps:
                    self.made_again.note(moved, fresh)
            self.unmoved = write(moved, fresh, self._before_write) or self.unmoved
            self.taken.append(activation_of(tensors, self.views, output=position))

    def _before_write(self, tensor: torch.Tensor) -> None:
        self._laboratory.before_write(tensor)
        if self._saved is not None:
            self._saved.keep(tensor)


class _NotComparableError(Exception):
    """Why there is nothing to compare, in words for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """The score where the target has certain values, and its gradients there, where they were asked for."""

    score: torch.Tensor
    taken: tuple[Activation, ...]
    gradients: list[torch.Tensor | None]
    named: Mapping[str, torch.Tensor | None]


def _gradients(
    score: torch.Tensor, taken: Sequence[Activation], parameters: Sequence[torch.Tensor], precision: DoublePrecision
) -> list[torch.Tensor | None]:
    if not score.requires_grad:
        return [None] * max(len(parameters), len(taken))

    def ask(wanted: Sequence[Any]) -> Sequence[torch.Tensor | None]:
        return _asked_in_double(score, wanted, precision)

    at_outputs, at_parameters = gradients_at(ask, taken, parameters)
    return at_parameters or at_outputs


def _asked_in_double(
    score: torch.Tensor, wanted: Sequence[Any], precision: DoublePrecision
) -> list[torch.Tensor | None]:
    root = score.grad_fn
    if root is None or not wanted:
        return [None] * len(wanted)
    with precision.during_backward(root):
        found: Sequence[torch.Tensor | None] = run_theirs(torch.autograd.grad, (score, wanted), {"allow_unused": True})
    return list(found)


def _generator(seed: int, call: int, number: int) -> torch.Generator:
    return torch.Generator().manual_seed(1_000_003 * seed + 1_009 * call + number)
