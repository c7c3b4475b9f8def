"""What the target layers returned, or why one of their calls gave nothing."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch

from gradflow.record.capture import Activation, activation_of, chosen_position
from gradflow.record.modules.observer import CallObserver, RunningCall
from gradflow.record.moving import CannotMoveError, write
from gradflow.record.recorder import Recorder
from gradflow.recording import UnseenCall
from gradflow.torch_facts.dispatch_modes import outside_dispatch
from gradflow.torch_facts.transforms import is_in_transform
from gradflow.values import tensors_in

__all__ = ["Alteration", "TargetActivations"]

Alteration = Callable[[str, int, torch.Tensor], torch.Tensor]


class TargetActivations(CallObserver):
    """Takes the edges of what the target layers return.

    Parameters
    ----------
    recorder
        Knows the values.
    targets
        ``id(module)`` to the qualified name under which the layer was asked for.
    keep
        Whether the activations themselves are kept (a Grad-CAM needs them).
    alter
        An experiment: ``alter(layer, call_index, activation)`` gives other values for an activation, which are written
        into its memory, so that everybody who holds it sees them; it raises ``CannotMoveError`` where there are none.
        No other run changes anything.
    outputs
        Target to the position, among the tensors that it returns, of the one that is meant; the first by default.

    Attributes
    ----------
    taken
        Target to what its calls returned.
    unseen
        Target to its other calls.
    unmoved
        Why the experiment could not give an activation other values, where it could not.
    """

    def __init__(
        self,
        recorder: Recorder,
        targets: Mapping[int, str],
        *,
        keep: bool = False,
        alter: Alteration | None = None,
        outputs: Mapping[str, int] | None = None,
    ) -> None:
        self.taken: dict[str, list[Activation]] = {name: [] for name in targets.values()}
        self.unseen: dict[str, list[UnseenCall]] = {name: [] for name in targets.values()}
        self.unmoved = ""
        self._recorder = recorder
        self._calls = recorder.calls
        self._targets = targets
        self._keep = keep
        self._alter = alter
        self._outputs = outputs or {}

    def entered_unseen(self, call: RunningCall, module: torch.nn.Module, inputs: Any) -> None:
        """A call within an operation that is recorded as one gives nothing that has a place in the graph."""
        recorder = self._recorder
        if call.is_recorded or not recorder.inside or not recorder.is_own_thread():
            return
        target = self._targets.get(id(module))
        if target is not None:
            site = recorder.sites.number(sys._getframe(1))
            self.unseen[target].append(UnseenCall(kind="inside", what=recorder.inside, site=site))

    def left(self, call: RunningCall, module: torch.nn.Module, output: Any, raised: BaseException | None) -> None:
        """Take what it returned; there is no output where it raised and somebody caught the exception."""
        target = self._targets.get(id(module))
        if target is None or not call.is_recorded:
            return
        if raised is not None:
            self.unseen[target].append(UnseenCall(kind="raised", what=type(raised).__name__, site=call.site))
            return
        with outside_dispatch():
            self._take(target, output, call)

    def _take(self, layer: str, output: Any, call: RunningCall) -> None:
        tensors = tensors_in(output)
        if is_in_transform():
            return  # a wrapper of a transform is no value of the run, and has no place in its graph
        if not tensors:
            self.unseen[layer].append(UnseenCall(kind="no tensor", what=type(output).__name__, site=call.site))
            return
        taken = self.taken[layer]
        recorder = self._recorder
        asked = chosen_position(tensors, self._outputs.get(layer, 0))
        if self._alter is not None:
            self._move(self._alter, layer, len(taken), tensors[asked])
        is_own = recorder.is_own_thread()
        own = recorder.value_of(tensors[asked]) if is_own else recorder.known_value(tensors[asked])
        values = [own if n == asked else recorder.known_value(tensor) for n, tensor in enumerate(tensors)]
        activation = activation_of(tensors, recorder.views, output=asked, values=values, keep=self._keep)
        taken.append(activation)
        if own < 0:
            tell = functools.partial(self._number, activation, asked, call.id)
            recorder.tables.meet_elsewhere(tensors[asked], tell)

    def _number(self, activation: Activation, asked: int, call: int, value: int) -> None:
        """What a call in another thread returned has its value now."""
        values, outputs = activation.values, self._calls.outputs
        activation.value = value
        activation.values = (*values[:asked], value, *values[asked + 1 :])
        if value not in outputs[call]:
            outputs[call] = (*outputs[call], value)

    def _move(self, alter: Alteration, layer: str, number: int, activation: torch.Tensor) -> None:
        try:
            with torch.no_grad():
                fresh = alter(layer, number, activation)
        except CannotMoveError as error:
            self.unmoved = str(error)
        else:
            self.unmoved = write(activation, fresh, self._recorder.before_write) or self.unmoved
