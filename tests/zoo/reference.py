"""What autograd itself says about a layer, asked without any part of gradflow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tests.zoo.case import Case


@dataclass(frozen=True, slots=True)
class Truth:
    """Whether the gradient arrives (or backward raises), and its L2 norm over all calls of the layer.

    ``score`` is the value that the model itself computes. ``activation`` and ``gradient`` are those of the last call.
    """

    status: Literal["arrives", "zero", "nan", "none", "raises"]
    norm: float = 0.0
    score: float = math.nan
    activation: Tensor | None = None
    gradient: Tensor | None = None

    @property
    def maps(self) -> list[tuple[Tensor, Tensor]]:
        """The Grad-CAM by hand of a feature map ``[N, C, H, W]``, and of one ``[N, H, W, C]``.

        Each with what rounding in float32 may make of it, entry by entry: where a norm follows, the mean of the
        gradient over all places is zero but for that.
        """
        if self.activation is None or self.gradient is None or self.activation.ndim != 4:
            return []
        found = []
        for activation, gradient in (
            (self.activation, self.gradient),
            (self.activation.permute(0, 3, 1, 2), self.gradient.permute(0, 3, 1, 2)),
        ):
            weights = gradient.double().mean((2, 3), keepdim=True)
            rounding = gradient.double().abs().mean((2, 3), keepdim=True) * torch.finfo(torch.float32).eps
            noise = (rounding * activation.double().abs()).sum(1)
            found.append(((weights * activation.double()).sum(1).relu(), noise))
        return found


def called_layers(case: Case) -> list[str]:
    """Names of the submodules whose output is one float tensor that requires grad, in the order of their first call.

    Left out is what nobody but gradflow can speak of: a view that is written to afterwards, by something else than an
    activation that can be told to work out of place.
    """
    found, overwritten = _called(case)
    if overwritten:
        with _out_of_place(case.model):
            _, overwritten = _called(case)
    return [name for name in found if name not in overwritten]


def _called(case: Case) -> tuple[list[str], set[str]]:
    found: dict[str, None] = {}
    views: list[tuple[str, Tensor, int]] = []

    def note(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_floating_point() and output.requires_grad:
                found.setdefault(name)
                if output._is_view():
                    views.append((name, output, output._version))

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in case.model.named_modules() if name]
    try:
        case.run()
    finally:
        for handle in handles:
            handle.remove()
    return list(found), {name for name, view, version in views if view._version != version}


@contextmanager
def _out_of_place(model: nn.Module) -> Iterator[None]:
    """The same model with its in-place activations told not to be."""
    switched = [module for module in model.modules() if getattr(module, "inplace", False) is True]
    for module in switched:
        module.inplace = False
    try:
        yield
    finally:
        for module in switched:
            module.inplace = True


def spread(names: list[str], count: int) -> list[str]:
    """The first, the last, and evenly spaced ones between."""
    if len(names) <= count:
        return names
    if count == 1:
        return [names[len(names) // 2]]
    return [names[round(number * (len(names) - 1) / (count - 1))] for number in range(count)]


def true_gradient(case: Case, layer: str) -> Truth:
    """The gradient of the score at all calls of a layer, by a hook on the very tensors that it returned.

    Nothing is copied and nothing replaced. Where an output is a view whose memory is written to afterwards, autograd
    does not call such a hook; the same model is then asked with its in-place activations switched off.
    """
    truth, is_overwritten = _gradient_at(case, layer)
    if not is_overwritten:
        return truth
    with _out_of_place(case.model):
        truth, is_overwritten = _gradient_at(case, layer)
    assert not is_overwritten, f"what {layer} returned is overwritten by something that cannot be switched off"
    return truth


def _gradient_at(case: Case, layer: str) -> tuple[Truth, bool]:
    """The gradient, and whether some output is a view that was written to after the layer had returned."""
    arrived: dict[int, Tensor] = {}
    values: list[Tensor] = []
    views: list[tuple[Tensor, int]] = []

    def hook(module: nn.Module, args: Any, output: Tensor) -> None:
        values[:] = [output.detach().clone()]
        if not output.requires_grad:
            return
        if output._is_view():
            views.append((output, output._version))
        call = len(arrived)
        arrived[call] = torch.zeros(())

        def take(gradient: Tensor) -> None:
            arrived[call] = gradient.detach().clone()

        output.register_hook(take)

    handle = case.model.get_submodule(layer).register_forward_hook(hook)
    try:
        score = case.score(case.run())
    finally:
        handle.remove()
    is_overwritten = any(view._version != version for view, version in views)
    called = dict(arrived)
    value = float(score.detach())
    if not score.requires_grad:
        return Truth("none", score=value), is_overwritten
    # the gradients of the parameters are not wanted, but only a whole backward calls the hooks
    gradients = {name: parameter.grad for name, parameter in case.model.named_parameters()}
    try:
        score.backward()
    except Exception:  # noqa: BLE001 - whatever a model's own backward raises
        return _asked_for(case, layer, value), is_overwritten
    finally:
        for name, parameter in case.model.named_parameters():
            parameter.grad = gradients[name]
    came = [gradient for call, gradient in arrived.items() if gradient is not called[call]]
    if not came:
        return Truth("none", score=value), is_overwritten
    norm = float(sum(grad.double().square().sum() for grad in came)) ** 0.5
    if math.isnan(norm):
        return Truth("nan", norm, value), is_overwritten
    status: Literal["arrives", "zero"] = "arrives" if any(grad.any() for grad in came) else "zero"
    last = arrived[len(arrived) - 1]
    gradient = last if last is not called[len(arrived) - 1] else None
    return Truth(status, norm, value, values[0], gradient), is_overwritten


def _asked_for(case: Case, layer: str, score_value: float) -> Truth:
    """Where a whole backward raises, the gradient that was asked for may still not pass what raised."""
    outputs: list[tuple[Tensor, int]] = []

    def hook(module: nn.Module, args: Any, output: Tensor) -> None:
        if output.requires_grad:
            outputs.append((output, output._version))

    handle = case.model.get_submodule(layer).register_forward_hook(hook)
    try:
        score = case.score(case.run())
    finally:
        handle.remove()
    assert all(output._version == version for output, version in outputs), "asked of another value than was returned"
    try:
        arrived = torch.autograd.grad(score, [output for output, _ in outputs], allow_unused=True)
    except Exception:  # noqa: BLE001 - whatever a model's own backward raises
        return Truth("raises", score=score_value)
    came = [gradient for gradient in arrived if gradient is not None]
    if not came:
        return Truth("none", score=score_value)
    norm = float(sum(grad.double().square().sum() for grad in came)) ** 0.5
    return Truth("arrives" if any(grad.any() for grad in came) else "zero", norm, score_value)
