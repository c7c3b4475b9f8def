"""An input for a model of which nothing is known but its modules."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from gradflow.errors import UsageError
from gradflow.load.inputs.configured_input import configured_inputs
from gradflow.load.inputs.random_input import random_tensor

__all__ = ["GuessedInputs", "guess_inputs"]

_LARGE = 1_000_000
_IMAGE_SIZES_LARGE = (224, 256, 32, 64, 28, 299, 128, 384, 512, 96)
_IMAGE_SIZES_SMALL = (32, 28, 64, 224, 16, 8, 128, 96, 48, 256)
_LENGTHS = (64, 128, 1024, 16_000, 32, 16)
_TOKENS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class GuessedInputs:
    """Random inputs and why they have their shape."""

    arguments: tuple[Any, ...]
    reason: str
    keywords: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Candidate:
    shape: tuple[int, ...]
    dtype: torch.dtype | None = None


def guess_inputs(model: nn.Module, *, input_size: Sequence[int] | None, seed: int) -> GuessedInputs:
    """Inputs that fit the model's kind, else its first convolution, recurrent, embedding or linear layer.

    Where several sizes are possible, they are tried on a copy of the model without data (torch's meta device).

    Raises
    ------
    UsageError
        When the model gives no sign of what it takes.
    """
    package = type(model).__module__

    def tensor(*shape: int, offset: int = 0) -> torch.Tensor:
        return random_tensor(shape, None, model=model, seed=seed + offset)

    if package.startswith("torchvision.models.detection"):
        return GuessedInputs(arguments=([tensor(3, 224, 224)],), reason="as torchvision's detection models take it")
    if package.startswith("torchvision.models.segmentation"):
        return GuessedInputs(arguments=(tensor(1, 3, 224, 224),), reason="as torchvision's segmentation models take it")
    if package.startswith("torchvision.models.optical_flow"):
        pair = (tensor(1, 3, 128, 128), tensor(1, 3, 128, 128, offset=1))
        return GuessedInputs(arguments=pair, reason="two frames, as optical-flow models take them")
    if package.startswith("torchvision.models.video"):
        height, width = (112, 112) if input_size is None else (input_size[-2], input_size[-1])
        return GuessedInputs(
            arguments=(tensor(1, 3, 16, height, width),), reason="16 frames, as video models take them"
        )
    configured = configured_inputs(model, seed=seed)
    if configured is not None:
        return GuessedInputs(arguments=(), keywords=configured, reason="as the model's configuration describes it")
    size, said = _declared_size(model, input_size)
    if size is not None:
        return GuessedInputs(arguments=(tensor(1, *size),), reason=said)
    for name, module in model.named_modules():
        candidates = _candidates(module, model)
        if candidates:
            best = _first_that_runs(model, candidates)
            argument = random_tensor(best.shape, best.dtype, model=model, seed=seed)
            reason = f"chosen for the first layer `{name or '(the model)'}` ({type(module).__name__})"
            return GuessedInputs(arguments=(argument,), reason=reason)
    raise UsageError(
        "no input is given, and the model has no layer that tells what it takes",
        hint="pass `--input-shape 1,3,224,224`, `--input FILE` or `--image FILE`",
    )


def _declared_size(model: nn.Module, input_size: Sequence[int] | None) -> tuple[tuple[int, ...] | None, str]:
    if input_size is not None:
        return tuple(input_size), "the size its trained weights were made for"
    config = getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", None)
    size = config.get("input_size") if isinstance(config, dict) else None
    if isinstance(size, (tuple, list)) and len(size) == 3:
        built = _built_for(model)
        if built is not None and built != tuple(size[1:]):
            return (int(size[0]), *built), "the size it was built for"
        return tuple(int(length) for length in size), "the size its trained weights were made for"
    if type(model).__module__.startswith("torchvision.models."):
        length = getattr(model, "image_size", 299 if type(model).__name__ == "Inception3" else 224)
        return (3, int(length), int(length)), "the size its trained weights were made for"
    return None, ""


def _built_for(model: nn.Module) -> tuple[int, int] | None:
    """The picture that a model with position embeddings was built for: timm's patch embeddings note it."""
    for module in model.modules():
        size = getattr(module, "img_size", None)
        if isinstance(size, tuple) and len(size) == 2 and all(isinstance(length, int) for length in size):
            return size
    return None


def _candidates(module: nn.Module, model: nn.Module) -> tuple[_Candidate, ...]:  # noqa: PLR0911 - one per kind
    large = _parameter_count(model) > _LARGE
    if isinstance(module, nn.Conv2d):
        sizes = _IMAGE_SIZES_LARGE if large else _IMAGE_SIZES_SMALL
        return tuple(_Candidate((1, module.in_channels or 3, size, size)) for size in sizes)
    if isinstance(module, nn.Conv1d):
        return tuple(_Candidate((1, module.in_channels or 1, length)) for length in _LENGTHS)
    if isinstance(module, nn.Conv3d):
        channels = module.in_channels or 3
        return tuple(_Candidate((1, channels, *size)) for size in ((16, 32, 32), (16, 112, 112), (16, 16, 16)))
    if isinstance(module, nn.ConvTranspose2d):
        return tuple(_Candidate((1, module.in_channels or 3, size, size)) for size in (8, 1, 4, 16, 32))
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return (_Candidate((1, _TOKENS), torch.int64), _Candidate((1, 8), torch.int64), _Candidate((1,), torch.int64))
    if isinstance(module, nn.RNNBase):
        shape = (1, _TOKENS, module.input_size) if module.batch_first else (_TOKENS, 1, module.input_size)
        return (_Candidate(shape),)
    if isinstance(module, nn.RNNCellBase):
        return (_Candidate((1, module.input_size)), _Candidate((1, _TOKENS, module.input_size)))
    if isinstance(module, nn.Linear):
        features = module.in_features or 16
        return (_Candidate((1, features)), _Candidate((1, _TOKENS, features)))
    if isinstance(module, nn.MultiheadAttention):
        return (_Candidate((1, _TOKENS, module.embed_dim)),)
    if isinstance(module, nn.LayerNorm):
        return (_Candidate((1, _TOKENS, *module.normalized_shape)),)
    return ()


def _parameter_count(model: nn.Module) -> int:
    return sum(
        parameter.numel() for parameter in model.parameters() if not isinstance(parameter, nn.UninitializedParameter)
    )


def _first_that_runs(model: nn.Module, candidates: Sequence[_Candidate]) -> _Candidate:
    """The first candidate with which the model runs; simply the first where trying is not possible."""
    run = _dry_run(model) if len(candidates) > 1 and _depends_on_size(model) else None
    if run is None:
        return candidates[0]
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    for candidate in candidates:
        if run(torch.zeros(candidate.shape, dtype=candidate.dtype or dtype, device="meta")):
            return candidate
    return candidates[0]


def _depends_on_size(model: nn.Module) -> bool:
    """Whether some sizes may not fit: a linear layer whose input no adaptive pooling makes independent of the size."""
    kinds = [type(module) for module in model.modules()]
    adaptive = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool2d)
    return nn.Linear in kinds and not any(kind in adaptive for kind in kinds)


def _dry_run(model: nn.Module) -> Callable[[torch.Tensor], bool] | None:
    """Runs a copy of the model that has shapes but no data and no hooks; ``None`` where it cannot be copied."""
    memo: dict[int, Any] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        empty = torch.empty_like(tensor, device="meta")
        memo[id(tensor)] = nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty
    try:
        twin = copy.deepcopy(model, memo)
    except Exception:  # noqa: BLE001 - a model may hold anything; without a copy the first candidate is taken
        return None
    for module in twin.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            hooks.clear()

    def run(tensor: torch.Tensor) -> bool:
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]), contextlib.redirect_stdout(io.StringIO()):
                twin(tensor)
        except Exception:  # noqa: BLE001 - that it raises is the answer
            return False
        return True

    return run
