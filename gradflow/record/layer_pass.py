"""One forward pass without gradients that only looks at which modules run, and what they return."""

from __future__ import annotations

import functools

import torch

from gradflow.errors import UsageError
from gradflow.interrupts import give_held_interrupt
from gradflow.load.module_tree import named_modules_in, named_parameters_in
from gradflow.load.workload import Workload
from gradflow.location import SiteTable
from gradflow.record.conduct.whose_error import run_theirs, stepping_aside
from gradflow.record.failure import ForwardFailure, failure_of, model_raised
from gradflow.record.finishing import recording_of
from gradflow.record.modules.following import ModuleFollower
from gradflow.record.modules.given_names import GivenNames
from gradflow.record.modules.joins import note_joins
from gradflow.record.modules.layer_calls import LayerCalls
from gradflow.record.modules.module_pass import ModulePass
from gradflow.record.modules.one_run import OneRun
from gradflow.record.observed import name_leaves, observed, raise_own_failure
from gradflow.record.operations.tensor_facts import shape_of
from gradflow.record.recorder import Recorder
from gradflow.record.state import preserved
from gradflow.spelled import Spelled
from gradflow.values import tensors_in

__all__ = ["require_enterable", "run_modules"]


def require_enterable(workload: Workload) -> None:
    """Raise where no hook can see the layers inside the model.

    Raises
    ------
    UsageError
        For TorchScript.
    """
    if not workload.can_enter:
        name = next((name for name, _ in named_parameters_in(workload.model)), "")
        raise UsageError(
            "the layers inside this model cannot be seen",
            note="; ".join(workload.limits),
            hint=Spelled(
                f"ask for a parameter instead, such as `--param {name}`",
                in_python=f"ask for a parameter instead, such as `{name}`",
            )
            if name
            else "",
        )


def run_modules(workload: Workload) -> ModulePass:
    """Run the model once without gradients and leave it as it was.

    Raises
    ------
    ModelRaisedError
        When the model raises.
    InternalError
        When gradflow's own code failed while the model ran.
    UsageError
        When modules cannot be followed inside the model (TorchScript).
    """
    require_enterable(workload)
    model, modules = workload.model, tuple(named_modules_in(workload.model))
    names = {id(module): name for name, module in modules}
    layers = LayerCalls(names)
    failure: ForwardFailure | None = None
    inputs = [*workload.inputs, *workload.keyword_inputs.values()]
    with preserved(model, inputs) as keeper, torch.no_grad():
        recorder = Recorder(SiteTable(), keeper.before_write)
        keeper.note_run(recorder)
        name_leaves(recorder, workload, modules)
        guard = functools.partial(stepping_aside, step_aside=recorder.step_aside)
        scope = OneRun(id(model), names)
        follower = ModuleFollower(recorder.tables, scope, (GivenNames(names), layers), guard)
        try:
            with observed(recorder, follower, [module for _, module in modules]):
                give_held_interrupt()
                output = workload.run_model(run_theirs)
        except Exception as error:  # noqa: BLE001  (whatever a user's model raises is told, not lost)
            failure = failure_of(error)
        raise_own_failure(recorder, failure)
        if failure is not None:
            raise model_raised(failure) from failure.error
        shapes = tuple(map(shape_of, tensors_in(output)))
        is_plain = isinstance(output, torch.Tensor)
    note_joins(recording_of(recorder, score=-1, layer_values={}, initially_enabled=False), layers.by_row)
    return ModulePass(calls=layers.finished, output_shapes=shapes, has_plain_output=is_plain)
