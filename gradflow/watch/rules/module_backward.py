"""GF111: a module defines `backward`, which autograd never calls."""

from __future__ import annotations

from gradflow.watch.events import Observation
from gradflow.watch.finding import Finding, finding

__all__ = ["module_defines_backward"]


def module_defines_backward(observation: Observation) -> tuple[Finding, ...]:
    """Only ``torch.autograd.Function`` has a backward of its own."""
    found = []
    differentiated = any(not backward.error for backward in observation.backwards)
    seen = set()
    for key in dict.fromkeys(observation.call_modules):
        module = observation.modules[key]
        span = module.backward_span
        if span is None or not differentiated or span in seen:
            continue
        seen.add(span)
        found.append(
            finding(
                "custom-function",
                "wrong",
                f"`{module.type_name}.backward` is never called: autograd differentiates `forward` by itself",
                span,
                label="not part of autograd",
                notes=("a `backward` method on an `nn.Module` means nothing to autograd",),
                helps=(
                    "write a `torch.autograd.Function` with static `forward` and `backward`, and call its `.apply`",
                    "or change the gradient with `tensor.register_hook(lambda g: -g)`",
                ),
                target=module.name or module.type_name,
                rank=2,
            )
        )
    return tuple(found)
