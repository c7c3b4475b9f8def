"""GF304: a module holds a trainable tensor that ``parameters()`` does not see, so no optimizer moves it."""

from __future__ import annotations

from gradflow.watch.events import Observation, PlainTensor
from gradflow.watch.finding import Finding, finding

__all__ = ["plain_tensor_never_learns"]


def plain_tensor_never_learns(observation: Observation) -> tuple[Finding, ...]:
    """It was made in the constructor, gradients arrive, and nobody ever asks for them."""
    if not any(optimizer.steps for optimizer in observation.optimizers):
        return ()
    asked = {value for optimizer in observation.optimizers for value in optimizer.parameters}
    asked.update(read.value for read in observation.reads)
    asked.update(value for backward in observation.backwards for value in backward.inputs)
    asked.update(hook.value for hook in observation.tensor_hooks)
    return tuple(
        _unregistered(observation, tensor)
        for tensor in observation.plain_tensors
        if tensor.value not in asked and _is_made_once(tensor) and _gets_gradient(observation, tensor.value)
    )


def _is_made_once(tensor: PlainTensor) -> bool:
    return tensor.span is not None and tensor.span.function.endswith("__init__")


def _gets_gradient(observation: Observation, value: int) -> bool:
    return any(backward.arrived.get(value, (0.0, True))[0] > 0 for backward in observation.backwards)


def _unregistered(observation: Observation, tensor: PlainTensor) -> Finding:
    return finding(
        "unregistered-params",
        "connected",
        f"`{tensor.name}` requires grad, and is not one of the parameters of `{tensor.owner}`",
        tensor.span,
        label="a plain tensor: not registered",
        annotations=tuple(
            (observation.trace.site_span(optimizer.site), "the optimizer was not given it")
            for optimizer in observation.optimizers[:1]
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
