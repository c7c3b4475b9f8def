"""The run that a class activation map is made of: that of the check, or one of its own where that cannot be it.

A check says the same with a map and without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from gradflow.cam.frozen import Source, source_of
from gradflow.cam.grad_cam import grad_cam
from gradflow.cam.result import CamResult
from gradflow.diagnose.verdict import verdict_of
from gradflow.errors import GradflowError, InternalError
from gradflow.layers.feature_layout import input_size
from gradflow.load.modes import in_mode, is_training
from gradflow.probe.evidence import Evidence
from gradflow.probe.examine import NOT_FOLLOWED, examine
from gradflow.probe.gradient import Gradients, differentiate
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.together.apart import each_by_itself
from gradflow.record.capture import Activation
from gradflow.record.run import Run
from gradflow.spelled import Spelled

__all__ = ["Maps", "make_maps"]


_TO_SAVE = 'in Python, `report.cam.save("cam.png")` writes the map as a picture, and `.npy` its numbers'


@dataclass(kw_only=True)
class Maps:
    """The maps by layer, what their runs assume, and why a layer has none where its verdict does not tell."""

    by_layer: dict[str, CamResult] = field(default_factory=dict)
    assumed: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def make_maps(
    laboratory: Laboratory,
    run: Run,
    gradients: Mapping[str, Gradients],
    evidences: Sequence[Evidence],
    class_index: int | None,
    index: Any = None,
) -> Maps:
    """The Grad-CAM of each layer whose path is confirmed in the run that the map is made of.

    That is the run of the check, as far as it can be. It is in eval mode where nobody asked for train mode: a map
    explains what the model answers, and in train mode batch norms and dropout make another answer. Where nothing before
    a layer requires grad, the input does, or one parameter. Whatever differs from the run of the check is said, and
    there the path is looked at once more.

    Parameters
    ----------
    laboratory
        Of the check, which is done with it.
    run, gradients
        The run of the check, with the activations kept, and what came to each target.
    evidences
        What the check found out.
    class_index
        The class whose score it differentiated.
    index
        The part of the activations that was asked for.
    """
    maps = Maps()
    workload = laboratory.workload
    changes_mode = workload.mode is None and is_training(workload.model)
    groups: dict[Source | None, list[Evidence]] = {}
    for evidence in evidences:
        if evidence.kind != "layer" or not evidence.call_count:
            continue
        source = source_of(workload, evidence)
        if source is not None or changes_mode or verdict_of(evidence) == "connected":
            groups.setdefault(source, []).append(evidence)
    with in_mode(workload.model, "eval" if changes_mode else None):
        for source, group in groups.items():
            if source is None and not changes_mode:
                _OfCheck(laboratory, None, group, class_index, index, changes_mode=False).make_of(run, gradients, maps)
            else:
                _OwnRun(laboratory, source, group, class_index, index, changes_mode=changes_mode).make(maps)
    if maps.by_layer and changes_mode:
        made = "map: made in eval mode, though the model is in train mode"
        kept = Spelled(f"{made} (`--train` keeps that)", in_python=f'{made} (`mode="train"` keeps that)')
        maps.assumed.insert(0, kept)
    return maps


class _OfOneRun:
    """The maps of all layers that get their gradient in the same way."""

    def __init__(
        self,
        laboratory: Laboratory,
        source: Source | None,
        evidences: Sequence[Evidence],
        class_index: int | None,
        index: Any,
        *,
        changes_mode: bool,
    ) -> None:
        self.source = source
        self.evidences = {evidence.target: evidence for evidence in evidences}
        self.class_index = class_index
        self.index = index
        self.changes_mode = changes_mode
        self.main = laboratory

    def refuse(self, refused: Mapping[str, str], maps: Maps) -> None:
        """Say why layers have no map; of a path that is not connected, the verdict tells."""
        connected = {name for name, evidence in self.evidences.items() if verdict_of(evidence) == "connected"}
        maps.refused.update((name, why) for name, why in refused.items() if name in connected)

    def made_of(self, run: Run, all_gradients: Mapping[str, Gradients], maps: Maps) -> dict[str, str]:
        """Add the maps; gives why there is none, by layer."""
        refused: dict[str, str] = {}
        made = []
        for name in self.evidences:
            gradients = all_gradients[name]
            call = _last_call(run.live.activations[name], gradients.by_target[name])
            if call is None:
                refused[name] = f"{self.where()}no gradient reaches it"
                continue
            if name in gradients.partly_seen:
                refused[name] = f"not determined: {NOT_FOLLOWED}"
                continue
            verdict = self.verdict(run, gradients, name)
            if verdict != "connected":
                refused[name] = f"{self.where()}the verdict about its path is `{verdict}`"
                continue
            try:
                maps.by_layer[name] = self._map(name, call, run.class_index)
            except GradflowError as error:
                told = (error.message, error.hint), (error.message, error.hint_in_python)
                typed, called = ("; ".join(filter(None, parts)) for parts in told)
                refused[name] = Spelled(typed, in_python=called)
            else:
                made.append(name)
        if made and self.source is not None:
            maps.assumed.append(f"map: made with {self.source.said}, because nothing before {_named(made)} does")
        if made and run.class_index != self.class_index:
            maps.assumed.append(f"map: of class {run.class_index}, the one that the score is of in that run")
        return refused

    def verdict(self, run: Run, gradients: Gradients, name: str) -> str:
        """What holds of the path in this run."""
        return verdict_of(self.evidences[name])

    def where(self) -> str:
        """In which run that is, where it is not that of the check."""
        if self.changes_mode:
            return "in eval mode "
        return f"with {self.source.said} " if self.source is not None else ""

    def _map(self, name: str, call: _Call, class_index: int | None) -> CamResult:
        workload = self.main.workload
        found = grad_cam(
            call.activation.detach(),
            call.gradient,
            layer=name,
            target=class_index,
            input_size=input_size(workload.inputs, workload.keyword_inputs),
            image=workload.image,
        )
        if not workload.is_typed:
            found = replace(found, notes=(*found.notes, _TO_SAVE))
        if call.count == 1:
            return found
        which = "the last one" if call.number == call.count else "the last one that a gradient reaches"
        note = f"`{name}` ran {call.count} times: the map is of call {call.number}, {which}"
        return replace(found, notes=(*found.notes, note))


class _OfCheck(_OfOneRun):
    """Of the run of the check, whose verdicts hold."""

    def make_of(self, run: Run, gradients: Mapping[str, Gradients], maps: Maps) -> None:
        """Add the maps of the layers that are connected."""
        self.refuse(self.made_of(run, gradients, maps), maps)


class _OwnRun(_OfOneRun):
    """Of a run of their own, in which the path is looked at once more."""

    def make(self, maps: Maps) -> None:
        """Run, look at the paths, and add the maps of those that are connected."""
        laboratory = self.main.again(
            {name: self.main.layers[name] for name in self.evidences}, self.source.feed if self.source else None
        )
        refused: dict[str, str] = {}
        try:
            with self.source.switched_on(self.main.workload.model) if self.source is not None else nullcontext():
                run = laboratory.forward(keep=True)
                if run.failure is not None:
                    said = f"{self.where()}the model raised {run.failure.type_name}: {run.failure.message}"
                    refused = dict.fromkeys(self.evidences, said)
                else:
                    self._laboratory = laboratory
                    together = differentiate(run, {})
                    gradients = each_by_itself(together, lambda: laboratory.forward(keep=True), {})
                    run.live.score = None
                    refused = self.made_of(run, gradients, maps)
        except InternalError:
            raise
        except GradflowError as error:
            # a score that is made for the other mode's output, say
            refused = dict.fromkeys(self.evidences, f"{self.where()}{error.message}")
        self.refuse(refused, maps)

    def verdict(self, run: Run, gradients: Gradients, name: str) -> str:
        """What an examination of this run says."""
        return verdict_of(examine(self._laboratory, run, gradients, name, index=self.index))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """The call of a layer that its map is of, counted from 1."""

    activation: torch.Tensor
    gradient: torch.Tensor
    number: int
    count: int


def _last_call(taken: Sequence[Activation], gradients: Sequence[torch.Tensor | None]) -> _Call | None:
    """The last call that a gradient reaches, if any."""
    for number in range(len(taken), 0, -1):
        activation, gradient = taken[number - 1].tensor, gradients[number - 1]
        if activation is not None and gradient is not None:
            return _Call(activation=activation, gradient=gradient, number=number, count=len(taken))
    return None


def _named(layers: Sequence[str]) -> str:
    more = f" and {len(layers) - 1} more layers" if len(layers) > 1 else ""
    return f"`{layers[0]}`{more}"
