"""One forward pass under the recorder, up to the score."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from gradflow.errors import GradflowError
from gradflow.interrupts import give_held_interrupt
from gradflow.load.lazy import is_uninitialised
from gradflow.load.module_tree import named_modules_in, own_parameters
from gradflow.load.workload import Workload
from gradflow.record.capture import Activation
from gradflow.record.conduct.whose_error import run_theirs, stepping_aside
from gradflow.record.failure import ForwardFailure, failure_of
from gradflow.record.finishing import recording_of
from gradflow.record.history.origins import RecordedOrigins
from gradflow.record.modules.activations import Alteration, TargetActivations
from gradflow.record.modules.following import ModuleFollower
from gradflow.record.modules.given_names import GivenNames
from gradflow.record.modules.one_run import OneRun
from gradflow.record.modules.own_call import calls_past_hooks
from gradflow.record.modules.unrecorded_calls import UnrecordedCalls
from gradflow.record.observed import name_leaves, observed, raise_own_failure
from gradflow.record.program_sites import ProgramSites
from gradflow.record.recorder import Recorder
from gradflow.recording import Recording
from gradflow.recording.frozen import frozen

__all__ = ["Live", "Run", "run_forward"]


@dataclass(slots=True, kw_only=True)
class Live:
    """The ends of a run that are still alive, from which gradients can be asked; with them the graph stays.

    Attributes
    ----------
    score
        The tensor; ``None`` where there is none, and when it has been let go of.
    activations
        The gradient edges of the target layers, one for each of their calls.
    layers
        The target layers themselves.
    functions
        The classes of the Functions that were applied, by the name of the operation.
    leaves
        Those that require grad, of the tensors that the run read.
    """

    score: torch.Tensor | None
    activations: dict[str, list[Activation]]
    layers: Mapping[str, torch.nn.Module] = field(default_factory=dict)
    functions: Mapping[str, type] = field(default_factory=dict)
    leaves: Sequence[weakref.ref[torch.Tensor]] = ()


@dataclass(slots=True, kw_only=True)
class Run:
    """A finished forward pass: what was recorded, as plain data, and what is still alive of it.

    ``failure`` is what stopped the forward, if anything did. ``unmoved`` is why an experiment could not give an
    activation other values, where it could not. ``drew`` tells whose generators (``"python"``, ``"torch"``,
    ``"numpy"``) it drew from, where that was looked at.
    """

    recording: Recording
    live: Live
    description: str
    class_index: int | None
    failure: ForwardFailure | None = None
    unmoved: str = ""
    drew: frozenset[str] = frozenset()


def run_forward(
    workload: Workload,
    layers: Mapping[str, torch.nn.Module],
    parameters: Mapping[str, torch.Tensor],
    *,
    sites: ProgramSites,
    keep: bool = False,
    alter: Alteration | None = None,
    before_write: Callable[[torch.Tensor], None] | None = None,
    recorder: Recorder | None = None,
    outputs: Mapping[str, int] | None = None,
    there_before: Iterable[torch.Tensor] = (),
) -> Run:
    """Run ``objective(model(*inputs))`` once and record it.

    Parameters
    ----------
    workload
        The model, its input and the score.
    layers, parameters
        The targets by qualified name.
    sites
        Shared between the runs of one check.
    keep
        Keep the activations.
    alter
        An experiment that moves activations on the way, see :class:`TargetActivations`.
    before_write
        Called before a tensor is changed in place.
    recorder
        The one to use, such as one with an experiment at its seam; a plain one by default.
    outputs
        Layer to which of the tensors that it returns is meant, see :class:`TargetActivations`.
    there_before
        Tensors that the model holds besides its parameters and buffers.

    Raises
    ------
    GradflowError
        From the score function; anything that the model raises is caught and becomes ``Run.failure``.
    InternalError
        When gradflow's own code failed while the model ran.
    """
    recorder = Recorder(sites, before_write) if recorder is None else recorder
    sites.follow(recorder.operations.name)
    model = workload.model
    modules = tuple(named_modules_in(model))
    names = {id(module): name for name, module in modules}
    name_leaves(recorder, workload, modules)
    # one that is not registered has no name of the model's own yet
    asked = {name: recorder.name_leaf(tensor, "parameter", name) for name, tensor in parameters.items()}
    for tensor in there_before:
        if not is_uninitialised(tensor):
            recorder.value_of(tensor)
    known = len(recorder.values.producer)
    if workload.provenance.grad_mode_at is not None and not torch.is_grad_enabled():
        recorder.modes.set_initial_region(workload.provenance.grad_mode_at)
    initially_enabled = torch.is_grad_enabled()
    targets = _by_module(layers)
    if alter is not None:
        alter = _under_every_name(alter, targets)
    first_names = {module: names[0] for module, names in targets.items()}
    meant = {first_names[id(module)]: (outputs or {}).get(name, 0) for name, module in layers.items()}
    taking = TargetActivations(recorder, first_names, keep=keep, alter=alter, outputs=meant)
    unrecorded = UnrecordedCalls(recorder, names)
    follower = ModuleFollower(
        recorder.tables,
        OneRun(id(model), names),
        (GivenNames(names), unrecorded, *((taking,) if layers else ())),
        functools.partial(stepping_aside, step_aside=recorder.step_aside),
    )
    score: torch.Tensor | None = None
    description, class_index = "score", None
    failure = None
    try:
        with observed(recorder, follower, [module for _, module in modules], functools.partial(_owners, modules)):
            give_held_interrupt()
            output = workload.run_model(run_theirs)
            recorder.elsewhere.met_in_model = range(known, len(recorder.values.producer))
            score, description, class_index = workload.objective.score_of(output, RecordedOrigins(recorder))
            recorder.views.look()
    except GradflowError:
        raise
    except Exception as error:  # noqa: BLE001  (whatever a user's model raises is told, not lost)
        failure = failure_of(error)
    recorder.tables.number_met_elsewhere()
    raise_own_failure(recorder, failure)
    activations = {name: taking.taken[first_names[id(module)]] for name, module in layers.items()}
    unseen_calls = {name: tuple(taking.unseen[first_names[id(module)]]) for name, module in layers.items()}
    layer_values = {name: tuple(a.value for a in taken) for name, taken in activations.items()}
    for name, value in asked.items():
        layer_values[name] = (value,)
    recording = recording_of(
        recorder,
        score=recorder.known_value(score) if score is not None else -1,
        layer_values=layer_values,
        initially_enabled=initially_enabled,
        callers=sites.callers,
        called_from=sites.called_from,
    )
    own = calls_past_hooks(modules, set(recorder.calls.module), recording.spans)
    for name, module in layers.items():
        unseen_calls[name] += tuple(one for one in [own.get(names.get(id(module), ""))] if one is not None)
    completeness = replace(recording.completeness, ran_unseen=frozenset({*own, *unrecorded.inside}))
    recording = replace(recording, unseen_calls=frozen(unseen_calls), completeness=completeness)
    live = Live(
        score=score,
        activations=activations,
        layers=layers,
        functions=recorder.functions,
        leaves=recorder.leaves(),
    )
    return Run(
        recording=recording,
        live=live,
        description=description,
        class_index=class_index,
        failure=failure,
        unmoved=taking.unmoved,
    )


def _owners(modules: Iterable[tuple[str, torch.nn.Module]]) -> dict[int, list[str]]:
    """``id(parameter)`` to the names of the modules that hold it."""
    found: dict[int, list[str]] = {}
    for name, module in modules:
        for _, parameter in own_parameters(module):
            found.setdefault(id(parameter), []).append(name)
    return found


def _by_module(layers: Mapping[str, torch.nn.Module]) -> dict[int, list[str]]:
    """``id(module)`` to all names under which it is asked for; the first one is the recorder's."""
    found: dict[int, list[str]] = {}
    for name, module in layers.items():
        found.setdefault(id(module), []).append(name)
    return found


def _under_every_name(alter: Alteration, targets: Mapping[int, list[str]]) -> Alteration:
    """An alteration of a module that has several names may be meant under any of them."""
    others = {names[0]: names[1:] for names in targets.values()}

    def altered(layer: str, call: int, activation: torch.Tensor) -> torch.Tensor:
        activation = alter(layer, call, activation)
        for name in others[layer]:
            activation = alter(name, call, activation)
        return activation

    return altered
