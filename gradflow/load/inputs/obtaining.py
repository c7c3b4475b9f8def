"""The model's input: a picture, tensors from files or a factory, random ones of a given shape, or an inferred one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy
import torch

from gradflow.errors import UsageError
from gradflow.load.inputs.image_input import image_input
from gradflow.load.inputs.input_guess import guess_inputs
from gradflow.load.inputs.input_reference import referenced_inputs
from gradflow.load.inputs.random_input import parse_shape, random_tensor
from gradflow.load.module_tree import named_buffers_in, named_parameters_in, parameters_in
from gradflow.load.request import Request
from gradflow.load.source import SourcedModel
from gradflow.load.user_code import UserCode
from gradflow.values import mapped

__all__ = ["Inputs", "describe_inputs", "map_tensors", "obtain_inputs"]

_SHOWN_DEPTH = 4
"""Lists within lists that are described; an input may hold itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the model is called with: ``model(*arguments, **keywords)``.

    ``run_count`` tells how often a copy of the model ran to find it.
    """

    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    assumptions: tuple[str, ...] = ()
    image: numpy.ndarray | None = None
    run_count: int = 0


def obtain_inputs(request: Request, source: SourcedModel, user_code: UserCode, *, dtype: torch.dtype | None) -> Inputs:
    """The inputs that ``request`` names, or inferred ones, on the model's device.

    Floating-point tensors get ``dtype`` where it is given; random ones otherwise that of the model.

    Raises
    ------
    LoadError, UsageError
        When they cannot be made.
    """
    given = [
        option
        for option, value in (
            ("--image", request.image),
            ("--input", request.inputs),
            ("--input-shape", request.input_shapes),
        )
        if value
    ]
    if len(given) > 1:
        raise UsageError(f"`{given[0]}` and `{given[1]}` both say what the input is", hint="give one of them")
    model, seed = source.model, request.seed or 0
    if request.image:
        inputs = _from_image(request.image, source)
    elif request.inputs:
        weights = {name for name, _ in (*named_parameters_in(model), *named_buffers_in(model))}
        arguments, keywords = referenced_inputs(request.inputs, user_code, weights)
        names = ", ".join(request.inputs)
        description = f"{names}: {describe_inputs(arguments, keywords)}"
        inputs = Inputs(arguments=arguments, keywords=keywords, description=description)
    elif request.input_shapes:
        shapes = [parse_shape(text) for text in request.input_shapes]
        made = tuple(random_tensor(shape, kind, model=model, seed=seed + i) for i, (shape, kind) in enumerate(shapes))
        inputs = Inputs(arguments=made, description=f"random {describe_inputs(made, {})}, seed {seed}")
    else:
        inputs = _inferred(source, seed)
    return _placed(inputs, model, dtype)


def _from_image(path: str, source: SourcedModel) -> Inputs:
    tensor, image, how = image_input(path, source)
    is_list = _takes_list_of_images(source.model)
    assumptions = () if source.preset else (f"image: {how}",)
    return Inputs(
        arguments=([tensor],) if is_list else (tensor.unsqueeze(0),),
        description=f"{path}, {how}: {describe_inputs((tensor.unsqueeze(0),), {})}",
        assumptions=assumptions,
        image=image,
    )


def _inferred(source: SourcedModel, seed: int) -> Inputs:
    if source.example_inputs is not None:
        arguments, keywords = source.example_inputs
        described = describe_inputs(arguments, keywords)
        return Inputs(
            arguments=arguments,
            keywords=keywords,
            description=f"the example it was exported with: {described}",
            assumptions=(f"input: the example that the program was exported with, {described}",),
        )
    guess = guess_inputs(source.model, input_size=source.input_size, seed=seed)
    described = f"random {describe_inputs(guess.arguments, guess.keywords)}, seed {seed}"
    assumption = f"input: {described}, {guess.reason} (`--input` or `--image` for one of your own)"
    return Inputs(
        arguments=guess.arguments,
        keywords=guess.keywords,
        description=described,
        assumptions=(assumption,),
        run_count=guess.run_count,
    )


def _takes_list_of_images(model: torch.nn.Module) -> bool:
    return type(model).__module__.startswith("torchvision.models.detection")


def _placed(inputs: Inputs, model: torch.nn.Module, dtype: torch.dtype | None) -> Inputs:
    device = next((parameter.device for parameter in parameters_in(model)), None)

    def place(tensor: torch.Tensor) -> torch.Tensor:
        if dtype is not None and tensor.is_floating_point():
            tensor = tensor.to(dtype)
        return tensor if device is None else tensor.to(device)

    return dataclasses.replace(
        inputs,
        arguments=tuple(map_tensors(value, place) for value in inputs.arguments),
        keywords={name: map_tensors(value, place) for name, value in inputs.keywords.items()},
    )


def map_tensors(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """``value`` with ``change`` applied to the tensors in it."""
    return mapped(value, lambda part: change(part) if isinstance(part, torch.Tensor) else part)


def describe_inputs(arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> str:
    """For example ``[1, 3, 224, 224] float32`` or ``input_ids=[1, 16] int64``."""
    parts = [_described(value) for value in arguments]
    parts += [f"{name}={_described(value)}" for name, value in keywords.items()]
    return ", ".join(parts) or "nothing"


def _sizes(tensor: torch.Tensor) -> list[str]:
    """A star for what differs between the parts of a nested tensor, and may do so."""
    if tensor.is_nested and tensor.layout == torch.strided:
        return [str(tensor.size(0)), *["*"] * (tensor.dim() - 1)]  # of the others it does not tell which are the same
    return [str(size) if type(size) is int else "*" for size in tensor.shape]


def _described(value: Any, depth: int = 0) -> str:
    if isinstance(value, torch.Tensor):
        return f"[{', '.join(_sizes(value))}] {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, (list, tuple)) and 0 < len(value) <= 4 and depth < _SHOWN_DEPTH:
        inner = ", ".join(_described(item, depth + 1) for item in value)
        return f"({inner})" if isinstance(value, tuple) else f"list of {inner}"
    if isinstance(value, (bool, int, float, str)) or value is None:
        return repr(value)
    return type(value).__name__
