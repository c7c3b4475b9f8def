"""GF111: a module defines `backward`, and autograd does not call it."""

from __future__ import annotations

from gradflow.recording.program.events import OwnBackward
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["module_defines_backward"]


def module_defines_backward(observation: Observation) -> tuple[Finding, ...]:
    """Only ``torch.autograd.Function`` has a backward of its own; a program may call such methods by itself."""
    if not any(not backward.error for backward in observation.program.backwards):
        return ()
    modules = [observation.program.modules[key] for key in dict.fromkeys(observation.program.call_modules)]
    methods = [module.own_backward for module in modules if module.own_backward is not None]
    # one that calls others by hand may do nothing else
    if not methods or _any_ran(observation, methods):
        return ()
    is_whole = observation.recording.completeness.has_all("backward passes")
    found: dict[OwnBackward, Finding] = {}
    for module in modules:
        method = module.own_backward
        if method is None or method in found or not _fits(observation, module.key, method):
            continue
        found[method] = finding(
            "custom-function",
            "wrong",
            f"autograd does not call `{module.type_name}.backward`: it differentiates `forward` by itself",
            method.span,
            label="not part of autograd",
            notes=("a `backward` method on an `nn.Module` means nothing to autograd",),
            helps=(
                "write a `torch.autograd.Function` with static `forward` and `backward`, and call its `.apply`",
                "or change the gradient with `tensor.register_hook(lambda g: -g)`",
            ),
            severity="error" if is_whole else "info",
            target=module.name or module.type_name,
            rank=2,
        )
    return tuple(found.values())


def _any_ran(observation: Observation, methods: list[OwnBackward]) -> bool:
    """Whether any of them computed something, or asked for gradients: then the program calls them."""
    recording = observation.recording
    own = {(method.span.path, method.span.function) for method in methods}
    spans = {recording.operations.site[row] for row in range(len(recording))} | {
        one.site for one in observation.program.backwards
    }
    return any(
        (span.path, span.function.partition(".<locals>")[0]) in own
        for span in map(recording.site_span, spans)
        if span is not None
    )


def _fits(observation: Observation, key: int, method: OwnBackward) -> bool:
    """Whether it could take a gradient for each output of the module."""
    calls = zip(observation.recording.calls, observation.program.call_modules, strict=True)
    counts = {len(call.outputs) for call, module in calls if module == key}
    return any(method.least <= count and (method.most < 0 or count <= method.most) for count in counts)
