"""GF114, GF107, GF204, GF112, GF304, GF301, GF501, GF502: the program ended with an exception."""

from __future__ import annotations

from gradflow.location import SourceSpan
from gradflow.watch.events import Failure, Hook, Observation
from gradflow.watch.finding import Finding, finding

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
    for failure in observation.failures:
        for rule in (
            _module_attribute,
            _integer,
            _flag_refused,
            _hook_refused,
            _hook_view,
            _dtype_differs,
            _distributed,
        ):
            one = rule(observation, failure)
            if one is not None:
                found.append(one)
                break
    return tuple(found)


def _module_attribute(observation: Observation, failure: Failure) -> Finding | None:
    if failure.module < 0 or failure.attribute not in _TENSOR_WORDS:
        return None
    module = observation.modules[failure.module]
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


def _integer(observation: Observation, failure: Failure) -> Finding | None:
    said = failure.message
    if "floating point" not in said or "require" not in said or "grad" not in said:
        return None
    return finding(
        "integer-input",
        "error",
        "a gradient is asked of whole numbers, which cannot have one",
        failure.span,
        label="an integer tensor",
        notes=(
            f"torch says: {said}",
            "a whole number cannot move a little, so there is no derivative with respect to it",
        ),
        helps=(
            (
                "of token ids, ask at their embedding: `e = model.embed(ids).detach().requires_grad_()`, "
                "and go on from `e`"
            ),
            "if they are pixel values or the like, convert them: `x = x.float().requires_grad_()`",
        ),
        is_parameter=True,
        rank=0,
        operation=failure.operation,
    )


def _flag_refused(observation: Observation, failure: Failure) -> Finding | None:
    if "you can only change requires_grad flags of leaf variables" not in failure.message:
        return None
    return finding(
        "requires-grad-off",
        "error",
        "`requires_grad` cannot be switched off on a tensor that was computed",
        failure.span,
        label="this tensor has a history",
        notes=(
            "autograd has recorded how this tensor was made; only leaves (inputs, parameters) can be switched",
            "switched off, it could not be differentiated either: it is the very thing whose gradient is wanted",
        ),
        helps=("remove this line", "to get the values without their history, use `.detach()` on a copy"),
        rank=0,
        operation=failure.operation,
    )


def _hook_refused(observation: Observation, failure: Failure) -> Finding | None:
    """``register_hook`` or ``retain_grad`` on a tensor without history: what made it so decides."""
    if not any(said in failure.message for said in _REFUSALS):
        return None
    frozen = [flag for flag in observation.flags if not flag.on and flag.was and not flag.error and flag.is_leaf]
    is_off = bool(len(observation.trace)) and observation.trace.operations.mode[-1] != 0
    if is_off or not frozen:
        return None
    return finding(
        "nothing-requires-grad",
        "broken",
        "a gradient is asked of a tensor without history: nothing before it requires grad",
        observation.trace.site_span(frozen[0].site),
        label="frozen here",
        annotations=((failure.span, "its gradient is asked for here"),),
        notes=(
            "autograd records an operation only when one of its inputs requires grad; here none does",
            f"torch says: {failure.message}",
        ),
        helps=("let the input require grad, which leaves the parameters frozen: `x.requires_grad_(True)`",),
        rank=0,
        operation=failure.operation,
    )


_REFUSALS = (
    "cannot register a hook on a tensor that doesn't require gradient",
    "can't retain_grad on Tensor that has requires_grad=False",
)


def _hook_view(observation: Observation, failure: Failure) -> Finding | None:
    if "BackwardHookFunction" not in failure.message or "modified inplace" not in failure.message:
        return None
    hook = _backward_hook_behind(observation)
    return finding(
        "inplace-modification",
        "error",
        "a layer with a full backward hook has its output changed in place",
        observation.trace.site_span(hook.site) if hook is not None else failure.span,
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
        target=observation.modules[hook.module].name if hook is not None else "",
        rank=0,
        operation=failure.operation,
    )


def _backward_hook_behind(observation: Observation) -> Hook | None:
    """The backward hook on the module that ran last before the failure."""
    for key in reversed(observation.call_modules):
        for hook in reversed(observation.hooks):
            if hook.kind == "backward" and hook.module == key:
                return hook
    return None


def _next_module(observation: Observation) -> int:
    return observation.call_modules[-1] if observation.call_modules else -1


def _made(observation: Observation, key: int) -> SourceSpan | None:
    module = observation.modules.get(key)
    return observation.trace.site_span(module.made_at) if module is not None else None


def _dtype_differs(observation: Observation, failure: Failure) -> Finding | None:
    words = ("same dtype", "should be the same", "expected scalar type", "same device", "on the same")
    if not any(word in failure.message for word in words) or not observation.unregistered:
        return None
    key, span = next(reversed(observation.unregistered.items()))
    return unregistered(observation, key, span, "error", failure)


def unregistered(
    observation: Observation, key: int, span: SourceSpan | None, verdict: str, failure: Failure | None = None
) -> Finding:
    """Layers in a plain list or dictionary, with what came of it."""
    module = observation.modules[key]
    notes = ["`parameters()`, `to()`, `double()` and `state_dict()` see only what is registered in the module"]
    if failure is not None:
        notes.append(f"torch says: {failure.message}")
    return finding(
        "unregistered-params",
        "error" if verdict == "error" else "connected",
        f"`{module.name or module.type_name}` holds layers that the model does not know of",
        span or (observation.trace.site_span(module.made_at)),
        label="a plain container: not registered",
        notes=tuple(notes),
        helps=("use `nn.ModuleList([...])` or `nn.ModuleDict({...})` (`nn.ParameterList` for parameters)",),
        target=module.name,
        rank=0 if failure is not None else 2,
        operation=failure.operation if failure is not None else 0,
    )


def _distributed(observation: Observation, failure: Failure) -> Finding | None:
    if "finished reduction in the prior iteration" not in failure.message:
        return None
    called = set(observation.call_modules)
    idle = [m for m in observation.modules.values() if m.has_parameters and m.key not in called and m.root >= 0]
    if not idle:
        return None
    module = idle[0]
    return finding(
        "layer-not-called",
        "unused",
        f"`{module.name}` never ran, so its parameters get no gradient, and DistributedDataParallel waits for them",
        observation.trace.site_span(module.made_at),
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


_RULES = (_module_attribute, _integer, _flag_refused, _hook_refused, _hook_view, _dtype_differs, _distributed)
