"""GF304: a module holds a trainable tensor that ``parameters()`` does not see, so no optimizer moves it."""

from __future__ import annotations

from collections.abc import Iterator

from gradflow.recording import Recording
from gradflow.recording.program.events import PlainTensor
from gradflow.watch.facts.leaves import is_leaf_value
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["plain_tensor_never_learns"]


def plain_tensor_never_learns(observation: Observation) -> tuple[Finding, ...]:
    """It was made in the constructor, gradients arrive, and nobody ever asks for them."""
    if not any(optimizer.steps for optimizer in observation.program.optimizers):
        return ()
    asked = {value for optimizer in observation.program.optimizers for value in optimizer.parameters}
    asked.update(read.value for read in observation.program.reads)
    asked.update(value for backward in observation.program.backwards for value in backward.inputs)
    asked.update(hook.value for hook in observation.program.tensor_hooks)
    plain = (
        _unregistered(observation, tensor)
        for tensor in observation.program.plain_tensors
        if not tensor.is_computed
        and tensor.value not in asked
        and _is_made_once(tensor)
        and _gets_gradient(observation, tensor.value)
    )
    registered = {value for module in observation.program.modules.values() for value in module.parameters}
    return (*plain, *_lost_leaves(observation, asked | registered))


def _lost_leaves(observation: Observation, known: set[int]) -> Iterator[Finding]:
    """What a module holds was computed, before any forward, from leaves that no module and no optimizer holds."""
    recording = observation.recording
    for tensor in observation.program.plain_tensors:
        producer = recording.values.producer[tensor.value]
        if not tensor.is_computed or producer < 0 or tensor.value in known:
            continue
        is_made_once = all(call.first_operation > producer for call in recording.calls)
        leaves = _leaves_of(recording, tensor.value, producer) if is_made_once else set()
        if leaves and not leaves & known and all(_gets_gradient(observation, leaf) for leaf in leaves):
            yield _computed(observation, tensor, producer)


def _leaves_of(recording: Recording, value: int, at: int) -> set[int]:
    """The leaves that a value was computed from, and that required grad when it was."""
    leaves: set[int] = set()
    seen, waiting = {value}, [value]
    while waiting:
        current = waiting.pop()
        if is_leaf_value(recording, current):
            leaves.update({current} if recording.requires_grad_of(current, at=at) else ())
            continue
        producer = recording.values.producer[current]
        for read in recording.inputs_of(producer) if producer >= 0 else ():
            if read not in seen:
                seen.add(read)
                waiting.append(read)
    return leaves


def _computed(observation: Observation, tensor: PlainTensor, producer: int) -> Finding:
    recording = observation.recording
    attribute = tensor.name.rpartition(".")[2]
    return finding(
        "unregistered-params",
        "connected",
        f"`{tensor.name}` is no parameter of `{tensor.owner}`, but computed from a leaf that no module holds",
        recording.span_of(producer) or tensor.span,
        label=f"computes a plain tensor (`{recording.name_of(producer)}`): no module gets the leaf itself",
        annotations=tuple(
            (recording.site_span(optimizer.site), "the optimizer was not given it")
            for optimizer in observation.program.optimizers[:1]
        ),
        notes=(
            "gradients arrive at the leaf, and no optimizer ever steps along them: the tensor stays as it was made",
            "any operation on a parameter, `.to(dtype)` and `* 0.02` too, gives another tensor, which is no parameter",
        ),
        helps=(f"make the parameter of the finished values, as the last step: `self.{attribute} = nn.Parameter(...)`",),
        target=tensor.name,
        is_parameter=True,
        rank=2,
    )


def _is_made_once(tensor: PlainTensor) -> bool:
    return tensor.span is not None and tensor.span.function.endswith("__init__")


def _gets_gradient(observation: Observation, value: int) -> bool:
    return any(backward.arrived.get(value, (0.0, True))[0] > 0 for backward in observation.program.backwards)


def _unregistered(observation: Observation, tensor: PlainTensor) -> Finding:
    return finding(
        "unregistered-params",
        "connected",
        f"`{tensor.name}` requires grad, and is not one of the parameters of `{tensor.owner}`",
        tensor.span,
        label="a plain tensor: not registered",
        annotations=tuple(
            (observation.recording.site_span(optimizer.site), "the optimizer was not given it")
            for optimizer in observation.program.optimizers[:1]
        ),
        notes=(
            "gradients arrive at it, and no optimizer ever steps along them",
            "`parameters()`, `to()` and `state_dict()` see only what is registered in the module",
        ),
        helps=(f"make it a parameter: `self.{tensor.name.rpartition('.')[2]} = nn.Parameter(...)`",),
        target=tensor.name,
        is_parameter=True,
        rank=2,
    )
