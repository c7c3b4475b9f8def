"""GF204, GF201: a map is put together from a gradient and an activation that do not belong together."""

from __future__ import annotations

from dataclasses import replace

from gradflow.graph.dependence import analyse
from gradflow.location import SourceSpan
from gradflow.recording import ModuleCall, Recording
from gradflow.recording.program.events import GradRead
from gradflow.source.definitions import argument_at, definition_of
from gradflow.torch_facts.operations.queries import has
from gradflow.watch.facts.naming.names import call_of_value
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["gradient_and_activation_differ", "gradients_onwards", "in_one_score", "weight_gradient_taken"]


def gradient_and_activation_differ(observation: Observation) -> tuple[Finding, ...]:
    """Follow each gradient that the program holds to the products that it enters."""
    origin = gradients_onwards(observation)
    found: dict[SourceSpan | None, Finding] = {}
    recording = observation.recording
    for operation in range(len(recording)):
        if not has(recording.name_of(operation), "product", "matrix-product"):
            continue
        inputs = recording.inputs_of(operation)
        for value in inputs:
            if value not in origin:
                continue
            for other_position, other in enumerate(inputs):
                if other in origin or other == value:
                    continue
                one = _weight_gradient(observation, operation, origin[value], other) or _other_pass(
                    observation, operation, origin[value], other, other_position
                )
                if one is not None:
                    found.setdefault(one.diagnostic.location, one)
    return tuple(found.values())


def gradients_onwards(observation: Observation) -> dict[int, int]:
    """Every value computed from one gradient alone, with the value whose gradient it is."""
    recording = observation.recording
    origin = dict(observation.program.gradient_of)
    if not origin:
        return origin
    for operation in range(len(recording)):
        inputs = recording.inputs_of(operation)
        sources = {origin[value] for value in inputs if value in origin}
        if len(sources) == 1 and recording.name_of(operation) != "autograd.grad" and all(v in origin for v in inputs):
            for value in recording.outputs_of(operation):
                origin.setdefault(value, next(iter(sources)))
    return origin


def _weight_gradient(observation: Observation, operation: int, of: int, other: int) -> Finding | None:
    """Grad-CAM weights taken from ``layer.weight.grad``."""
    recording = observation.recording
    role, name = recording.leaf_names.get(of, ("", ""))
    if role != "parameter" or len(recording.values.shape[of]) < 3 or len(recording.values.shape[other]) < 2:
        return None
    key = next((m.key for m in observation.program.modules.values() if of in m.parameters), -1)
    outputs = [v for call in recording.calls if observation.program.call_modules[call.id] == key for v in call.outputs]
    if key < 0 or not outputs or not analyse(recording, outputs).depends[other]:
        return None
    read = next((r for r in observation.program.reads if r.value == of and r.operation <= operation), None)
    if read is None:
        return None
    return weight_gradient_taken(observation, read, name, recording.span_of(operation), operation)


def weight_gradient_taken(
    observation: Observation, read: GradRead, name: str, product: SourceSpan | None, operation: int, *notes: str
) -> Finding:
    """The gradient of the parameter ``name`` stands where that of the activation belongs."""
    layer = name.rpartition(".")[0] or "the layer"
    return finding(
        "wrong-grad-source",
        "wrong",
        f"`{name}.grad` is used as if it were the gradient of the activation of `{layer}`",
        observation.recording.site_span(read.site),
        label="the gradient of the weights",
        annotations=((product, "multiplied with an activation here"),),
        notes=(
            "the gradient of the weights says how the filters should change",
            "Grad-CAM needs how the score changes with the activation, `[N, C, H, W]`, averaged over positions",
            *notes,
        ),
        helps=(
            "call `activation.retain_grad()` before backward, and use `activation.grad.mean(dim=(2, 3))`",
            "or `torch.autograd.grad(score, activation)`",
        ),
        target=layer,
        operation=operation,
    )


def _other_pass(observation: Observation, operation: int, of: int, other: int, position: int) -> Finding | None:
    """A gradient of one forward times the activation of another."""
    recording = observation.recording
    mine, theirs = call_of_value(recording, of), call_of_value(recording, other)
    if mine < 0 or theirs < 0 or observation.program.call_modules[mine] != observation.program.call_modules[theirs]:
        return None
    if in_one_score(observation, operation, mine, theirs) or _is_the_same_again(observation, mine, theirs):
        return None
    here, *callers = recording.way_to(operation) or (None,)
    taken = definition_of(here, argument_at(here, position), callers) if here is not None else None
    layer = recording.calls[mine].module or recording.calls[mine].type_name
    return finding(
        "stale-activation",
        "stale",
        f"the gradient at `{layer}` is combined with its activation of another forward pass",
        taken or here,
        label="an activation of an earlier forward" if theirs < mine else "an activation of a later forward",
        annotations=(
            (here, "combined here"),
            (
                recording.site_span(recording.calls[observation.program.pass_of_call(theirs)].site),
                "the activation was made in this forward",
            ),
            (
                recording.site_span(recording.calls[observation.program.pass_of_call(mine)].site),
                "the gradient belongs to this one",
            ),
        ),
        notes=("the map mixes two inputs: nothing raises, and the numbers look plausible",),
        helps=("take the newest activation (`acts[-1]`), or clear the list before each forward",),
        target=layer,
        operation=operation,
    )


def in_one_score(observation: Observation, operation: int, mine: int, theirs: int) -> bool:
    """Whether two module calls belong to one forward pass, or to one score: the last one differentiated before."""
    if observation.program.pass_of_call(mine) == observation.program.pass_of_call(theirs):
        return True
    recording = observation.recording
    backward = next((b for b in reversed(observation.program.backwards) if b.operation <= operation and b.roots), None)
    if backward is None:
        return False
    reaches = analyse(replace(recording, score=backward.score), ()).reaches
    return all(any(reaches[value] for value in recording.calls[call].outputs) for call in (mine, theirs))


def _is_the_same_again(observation: Observation, mine: int, theirs: int) -> bool:
    """Whether two forward passes read the very same values, in eval mode, with no step between: they give the same."""
    passes = sorted({observation.program.pass_of_call(mine), observation.program.pass_of_call(theirs)})
    recording = observation.recording
    first, last = recording.calls[passes[0]], recording.calls[passes[-1]]
    keys = {observation.program.call_modules[call] for call in passes}
    if len(keys) > 1 or any(observation.program.modules[key].ran_training for key in keys):
        return False
    between = range(first.first_operation, last.end_operation)
    if any(operation in between for optimizer in observation.program.optimizers for _, operation in optimizer.steps):
        return False
    return _read_from_outside(recording, first) == _read_from_outside(recording, last)


def _read_from_outside(recording: Recording, call: ModuleCall) -> set[int]:
    inside = range(call.first_operation, call.end_operation)
    read = {value for operation in inside for value in recording.inputs_of(operation)}
    return {value for value in read if recording.values.producer[value] < call.first_operation}
