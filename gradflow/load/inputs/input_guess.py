"""An input for a model of which nothing is known but its modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from gradflow.errors import UsageError
from gradflow.load.inputs.batch_of_two import normalises_batches, two_samples
from gradflow.load.inputs.configured_input import configured_inputs
from gradflow.load.inputs.first_layer import Candidate, candidates_of
from gradflow.load.inputs.random_input import GUESSED_BYTES, bytes_of, default_dtype, random_tensor, whole_number
from gradflow.load.module_tree import modules_in, named_modules_in, parameters_in
from gradflow.load.quiet import quietly
from gradflow.load.trial.bounded import runs_without_data
from gradflow.load.trial.counting import Counting, TooMuchError
from gradflow.load.trial.twin import NoTwinError, twin_without_data
from gradflow.spelled import Spelled

__all__ = ["GuessedInputs", "guess_inputs"]
_LARGE = 1_000_000
_WAYS_TO_GIVE = Spelled(
    "pass `--input-shape 1,3,224,224`, `--input FILE` or `--image FILE`",
    in_python="pass one: `inputs=torch.randn(1, 3, 224, 224)`",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuessedInputs:
    """Random inputs, why they have their shape, and how often a copy of the model ran to find that out."""

    arguments: tuple[Any, ...]
    reason: str
    keywords: Mapping[str, Any] = field(default_factory=dict)
    run_count: int = 0


def guess_inputs(model: nn.Module, *, input_size: Sequence[int] | None, seed: int) -> GuessedInputs:
    """Inputs that fit the model's kind, else its first convolution, recurrent, embedding or linear layer.

    Where several sizes are possible, they are tried on a copy of the model without data (torch's meta device). One
    sample, or two where batch norms in train mode cannot do with one.

    Raises
    ------
    UsageError
        When the model gives no sign of what it takes, or an odd one, or the input would be larger than 256 MiB.
    """
    guess = _one_sample(model, input_size=input_size, seed=seed)
    counting = Counting()
    two = two_samples(model, guess.arguments, guess.keywords, seed, counting)
    guess = replace(guess, run_count=guess.run_count + counting.run_count)
    if two is None:
        return guess
    reason = f"{guess.reason}, and two samples for its batch norms in train mode"
    return replace(guess, arguments=two[0], keywords=two[1], reason=reason)


def _one_sample(model: nn.Module, *, input_size: Sequence[int] | None, seed: int) -> GuessedInputs:
    package = type(model).__module__

    def tensor(*shape: int, offset: int = 0) -> torch.Tensor:
        return random_tensor(shape, None, model=model, seed=seed + offset, most=GUESSED_BYTES)

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
    for name, module in named_modules_in(model):
        candidates = candidates_of(module, is_large=_parameter_count(model) > _LARGE)
        if candidates is None:
            continue
        layer = f"`{name or '(the model)'}` ({type(module).__name__})"
        fitting = [one for one in candidates if bytes_of(one.shape, one.dtype or default_dtype(model)) <= GUESSED_BYTES]
        if not fitting:
            raise UsageError(
                f"no input can be inferred from the first layer {layer}",
                note=f"an input of shape {list(candidates[0].shape)} would take more memory than a guess may"
                if candidates
                else "what it says of the size of its input is no size",
                hint=_WAYS_TO_GIVE,
            )
        counting = Counting()  # one for all of them: what the first may take, the others may not take again
        best = _first_that_runs(model, fitting, counting)
        argument = random_tensor(best.shape, best.dtype, model=model, seed=seed, most=GUESSED_BYTES)
        return GuessedInputs(
            arguments=(argument,), reason=f"chosen for the first layer {layer}", run_count=counting.run_count
        )
    raise UsageError(
        "no input is given, and the model has no layer that tells what it takes",
        hint=_WAYS_TO_GIVE,
    )


def _declared_size(model: nn.Module, input_size: Sequence[int] | None) -> tuple[tuple[int, ...] | None, str]:
    if input_size is not None:
        return tuple(input_size), "the size its trained weights were made for"
    config = getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", None)
    size = _whole_numbers(config.get("input_size") if isinstance(config, dict) else None, 3)
    if size is not None:
        built = _built_for(model)
        if built is not None and built != size[1:]:
            return (size[0], *built), "the size it was built for"
        return size, "the size its trained weights were made for"
    if type(model).__module__.startswith("torchvision.models."):
        usual = 299 if type(model).__name__ == "Inception3" else 224
        length = whole_number(getattr(model, "image_size", usual), least=1) or usual
        return (3, length, length), "the size its trained weights were made for"
    return None, ""


def _built_for(model: nn.Module) -> tuple[int, ...] | None:
    """The picture that a model with position embeddings was built for: timm's patch embeddings note it."""
    sizes = (_whole_numbers(getattr(module, "img_size", None), 2) for module in modules_in(model))
    return next((size for size in sizes if size is not None), None)


def _whole_numbers(value: object, count: int) -> tuple[int, ...] | None:
    """So many sizes of at least 1; ``None`` for anything else."""
    if not isinstance(value, (tuple, list)) or len(value) != count:
        return None
    numbers = [whole_number(one, least=1) for one in value]
    return tuple(number for number in numbers if number is not None) if None not in numbers else None


def _parameter_count(model: nn.Module) -> int:
    return sum(
        parameter.numel() for parameter in parameters_in(model) if not isinstance(parameter, nn.UninitializedParameter)
    )


def _first_that_runs(model: nn.Module, candidates: Sequence[Candidate], counting: Counting) -> Candidate:
    """The first candidate with which the model runs; simply the first where trying is not possible."""
    if len(candidates) == 1 or not _depends_on_size(model):
        return candidates[0]
    dtype = next((p.dtype for p in parameters_in(model) if p.is_floating_point()), torch.float32)
    try:
        with quietly():
            twin = twin_without_data(model)
            for candidate in candidates:
                first, *rest = candidate.shape
                shape = (2 if first == 1 and normalises_batches(model) else first, *rest)
                tensor = torch.empty(shape, dtype=candidate.dtype or dtype, device="meta")
                if runs_without_data(twin, (tensor,), {}, counting):
                    return candidate
    except (TooMuchError, NoTwinError):
        return candidates[0]
    return candidates[0]


def _depends_on_size(model: nn.Module) -> bool:
    """Whether some sizes may not fit: a linear layer whose input no adaptive pooling makes independent of the size."""
    kinds = [type(module) for module in modules_in(model)]
    adaptive = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool2d)
    return nn.Linear in kinds and not any(kind in adaptive for kind in kinds)
