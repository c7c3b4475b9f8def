"""GF114, GF107, GF204, GF112, GF304, GF301, GF501, GF502: the program ended with an exception."""

from __future__ import annotations

from gradflow.location import SourceSpan
from gradflow.recording.program.events import Failure, Hook
from gradflow.torch_facts.messages import refusals, surroundings
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.refused import REFUSALS

__all__ = ["program_failed"]

_TENSOR_WORDS = frozenset({
    "grad", "grads", "gradient", "gradients", "features", "feature_maps", "feature_map", "activation", "activations",
    "output", "outputs", "detach", "backward", "retain_grad", "register_hook", "grad_fn", "requires_grad", "data",
    "mean", "shape", "numpy",
})  # fmt: skip
"""Asked of a module by those who take it for its output."""


def program_failed(observation: Observation) -> tuple[Finding, ...]:
    """What is behind the exceptions that ended the program, apart from those that backward raised."""
    found: list[Finding] = []
    for failure in observation.program.failures:
        for rule in (_module_attribute, *REFUSALS, _hook_view, _dtype_differs, _distributed):
            one = rule(observation, failure)
            if one is not None:
                found.append(one)
                break
    return tuple(found)


def _module_attribute(observation: Observation, failure: Failure) -> Finding | None:
    if failure.module < 0 or failure.attribute not in _TENSOR_WORDS:
        return None
    module = observation.program.modules[failure.module]
    return finding(
        "wrong-grad-source",
        "error",
        f"`.{failure.attribute}` is asked of the layer itself, and a `{module.type_name}` has no such attribute",
        failure.span,
        label="a module, not its output",
        notes=(
            "a module holds parameters; activations and their gradients belong to the tensors that its forward returns",
        ),
        helps=(
            (
                "take the output in a forward hook, `kept.append(output)`, call `kept[0].retain_grad()`, and read "
                "`kept[0].grad` after backward"
            ),
            "or ask autograd for it: `torch.autograd.grad(score, kept[0])`",
        ),
        target=module.name or module.type_name,
        rank=0,
        operation=failure.operation,
    )


def _hook_view(observation: Observation, failure: Failure) -> Finding | None:
    if not refusals.HOOKED_OUTPUT_WRITTEN_TO.is_in(failure.message):
        return None
    hook = _backward_hook_behind(observation)
    return finding(
        "inplace-modification",
        "error",
        "a layer with a full backward hook has its output changed in place",
        observation.recording.site_span(hook.site) if hook is not None else failure.span,
        label="this hook wraps the layer's output in a view",
        annotations=(
            (_made(observation, _next_module(observation)), "this module changes its input in place"),
            (failure.span, "raised from here"),
        ),
        notes=("`register_full_backward_hook` hands the output on as a view, and views made so may not be written to",),
        helps=(
            "use `inplace=False` in the layer that follows (`nn.ReLU(inplace=False)`)",
            "or use a forward hook and `output.register_hook(...)` instead of a full backward hook",
        ),
        target=observation.program.modules[hook.module].name if hook is not None else "",
        rank=0,
        operation=failure.operation,
    )


def _backward_hook_behind(observation: Observation) -> Hook | None:
    """The backward hook on the module that ran last before the failure."""
    for key in reversed(observation.program.call_modules):
        for hook in reversed(observation.program.hooks):
            if hook.kind == "backward" and hook.module == key:
                return hook
    return None


def _next_module(observation: Observation) -> int:
    return observation.program.call_modules[-1] if observation.program.call_modules else -1


def _made(observation: Observation, key: int) -> SourceSpan | None:
    module = observation.program.modules.get(key)
    return observation.recording.site_span(module.made_at) if module is not None else None


def _dtype_differs(observation: Observation, failure: Failure) -> Finding | None:
    if not surroundings.is_of_types_or_devices(failure.message) or not observation.program.unregistered:
        return None
    key, span = list(observation.program.unregistered.items())[-1]
    return unregistered(observation, key, span, "error", failure)


def unregistered(
    observation: Observation, key: int, span: SourceSpan | None, verdict: str, failure: Failure | None = None
) -> Finding:
    """Layers in a plain list or dictionary, with what came of it."""
    module = observation.program.modules[key]
    notes = ["`parameters()`, `to()`, `double()` and `state_dict()` see only what is registered in the module"]
    if failure is not None:
        notes.append(f"torch says: {failure.message}")
    return finding(
        "unregistered-params",
        "error" if verdict == "error" else "connected",
        f"`{module.name or module.type_name}` holds layers that the model does not know of",
        span or (observation.recording.site_span(module.made_at)),
        label="a plain container: not registered",
        notes=tuple(notes),
        helps=("use `nn.ModuleList([...])` or `nn.ModuleDict({...})` (`nn.ParameterList` for parameters)",),
        target=module.name,
        rank=0 if failure is not None else 2,
        operation=failure.operation if failure is not None else 0,
    )


def _distributed(observation: Observation, failure: Failure) -> Finding | None:
    if not surroundings.REDUCTION_UNFINISHED.is_in(failure.message):
        return None
    called = set(observation.program.call_modules)
    idle = [m for m in observation.program.modules.values() if m.has_parameters and m.key not in called and m.root >= 0]
    if not idle:
        return None
    module = idle[0]
    return finding(
        "layer-not-called",
        "unused",
        f"`{module.name}` never ran, so its parameters get no gradient, and DistributedDataParallel waits for them",
        observation.recording.site_span(module.made_at),
        label="made here, never called",
        notes=("DistributedDataParallel expects a gradient for every parameter in each iteration",),
        helps=(
            f"call `{module.name}` in `forward`, or remove it",
            "or pass `find_unused_parameters=True` to DistributedDataParallel",
        ),
        target=module.name,
        rank=0,
        operation=failure.operation,
    )
