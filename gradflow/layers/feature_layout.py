"""Where height and width are in a layer's output, told from its shape and the size of the input picture.

Plain arithmetic on shapes. What the shape leaves open is either refused or said in the layout's ``note``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gradflow.errors import NoSpatialAxesError
from gradflow.spelled import Spelled

__all__ = ["FeatureLayout", "batch_size", "feature_layout", "input_size", "token_grid"]

Axes = Literal["[N, C, H, W]", "[N, H, W, C]", "[N, T, C]", "[N, C, T, H, W]", "[N, T, H, W, C]"]

EXTRA_TOKENS = (0, 1, 2, 4, 5)
"""How many tokens stand before the patches in published models: a class token, one for distillation, four registers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureLayout:
    """How a feature map lies in a tensor.

    ``grid`` is ``(height, width)`` in places; ``extra_tokens`` is the number of leading tokens that stand for no place
    (class token, registers); ``fits_input`` tells whether the grid has the proportions of the input picture; ``note``
    says in words what was decided, where it is not torch's usual order.
    """

    axes: Axes
    grid: tuple[int, int]
    extra_tokens: int = 0
    fits_input: bool = True
    note: str = ""

    @property
    def is_spatial(self) -> bool:
        """Whether there are at least two places to tell apart."""
        return self.grid[0] * self.grid[1] > 1


def feature_layout(shape: tuple[int, ...], size: tuple[int, int] | None, *, layer: str = "") -> FeatureLayout:
    """The layout of a layer's output.

    Parameters
    ----------
    shape
        Of the output: 4 axes (a feature map), 5 (a video's) or 3 (a transformer's tokens).
    size
        ``(height, width)`` of the input picture in pixels; ``None`` when the input is none.
    layer
        Qualified name, for messages.

    Raises
    ------
    NoSpatialAxesError
        When no axes of the output can be laid out as height and width.
    """
    if len(shape) == 4:
        return _map_layout(shape, size)
    if len(shape) == 5:
        return _video_layout(shape, size)
    name = f"the output of `{layer}`" if layer else "the output"
    if len(shape) == 3 and size is not None:
        grid, extra_tokens = token_grid(shape[1], size, layer=layer)
        no_patch = "token that is no patch" if extra_tokens == 1 else "tokens that are no patches"
        dropped = f" after {extra_tokens} {no_patch} (such as a class token)" if extra_tokens else ""
        note = f"{name} is a sequence of {shape[1]} tokens, read as a grid of {grid[0]} x {grid[1]} patches{dropped}"
        return FeatureLayout(axes="[N, T, C]", grid=grid, extra_tokens=extra_tokens, note=note)
    raise NoSpatialAxesError(
        f"no spatial axes: {name} has shape {list(shape)}",
        note="a map needs a height and a width to lie on; this output has "
        + ("positions in a sequence that is not a picture's" if len(shape) == 3 else "no height and width left"),
        hint=Spelled(
            "ask for a layer with height and width, if the model has one: `gradflow layers` lists the shapes",
            in_python="ask for a layer whose output has height and width, if the model has one",
        ),
    )


def token_grid(token_count: int, size: tuple[int, int], *, layer: str = "") -> tuple[tuple[int, int], int]:
    """The patch grid of a token sequence and how many leading tokens stand for no place.

    The grid is that of square patches over a picture of ``size`` pixels, with the fewest tokens left over, as many as
    class, distillation and register tokens may be.

    Raises
    ------
    NoSpatialAxesError
        When no such grid has the right number of places.
    """
    height, width = size
    best: tuple[int, bool, tuple[int, int]] | None = None
    for patch in range(1, min(height, width) + 1):
        for grid in {(height // patch, width // patch), (-(-height // patch), -(-width // patch))}:
            extra_tokens = token_count - grid[0] * grid[1]
            if extra_tokens in EXTRA_TOKENS and grid[0] * grid[1] > max(1, extra_tokens):
                candidate = (extra_tokens, bool(height % patch or width % patch), grid)
                best = candidate if best is None else min(best, candidate)
    if best is None:
        name = f"the output of `{layer}`" if layer else "the output"
        raise NoSpatialAxesError(
            f"no spatial axes: {name} is a sequence of {token_count} tokens, which is no grid of patches",
            note=f"no grid of square patches over a picture of {height} x {width} pixels has {token_count} patches, "
            "also not with class or register tokens before it",
            hint="ask for a layer whose output is a feature map or one token per patch",
        )
    return best[2], best[0]


def input_size(inputs: tuple[Any, ...], keyword_inputs: Mapping[str, Any] | None = None) -> tuple[int, int] | None:
    """``(height, width)`` of the first picture (or video) among a model's inputs; ``None`` where there is none.

    A picture is a floating-point tensor ``[N, C, H, W]`` or ``[N, C, T, H, W]``, or ``[C, H, W]`` in a list, as
    detection models take them.
    """
    for tensor, is_listed in _tensors(inputs, keyword_inputs):
        if tensor.is_floating_point() and (tensor.ndim in (4, 5) or (is_listed and tensor.ndim == 3)):
            height, width = tensor.shape[-2:]
            return (int(height), int(width)) if height * width > 1 else None
    return None


def batch_size(inputs: tuple[Any, ...], keyword_inputs: Mapping[str, Any] | None = None) -> int | None:
    """How many samples go through the model at once: the first axis of the first tensor, or the length of a list."""
    for value in _arguments(inputs, keyword_inputs):
        if isinstance(value, list | tuple) and value and _is_tensor(value[0]):
            return len(value)
        if _is_tensor(value) and value.ndim > 0:
            return int(value.shape[0])
    return None


def _tensors(inputs: tuple[Any, ...], keyword_inputs: Mapping[str, Any] | None) -> Iterator[tuple[Any, bool]]:
    for value in _arguments(inputs, keyword_inputs):
        if _is_tensor(value):
            yield value, False
        elif isinstance(value, list | tuple):
            yield from ((item, True) for item in value if _is_tensor(item))


def _arguments(inputs: tuple[Any, ...], keyword_inputs: Mapping[str, Any] | None) -> Iterator[Any]:
    """What a model is called with; of a batch that is a mapping, what it holds."""
    for value in (*inputs, *(keyword_inputs or {}).values()):
        if isinstance(value, Mapping):
            yield from value.values()
        else:
            yield value


def _is_tensor(value: object) -> bool:
    # the class is asked: an object may answer for attributes by code of its own
    return hasattr(type(value), "is_floating_point") and hasattr(type(value), "ndim")


def _fits(height: int, width: int, size: tuple[int, int]) -> bool:
    """Whether height : width is that of the picture, up to the rounding of strided layers (one place either way)."""
    return abs(height * size[1] - width * size[0]) <= size[0] + size[1]


def _map_layout(shape: tuple[int, ...], size: tuple[int, int] | None) -> FeatureLayout:
    first, last = (shape[2], shape[3]), (shape[1], shape[2])
    if size is None:
        is_channels_last, fits_input = last[0] == last[1] and first[0] != first[1], False
    else:
        is_channels_last = _fits(*last, size) and not _fits(*first, size)
        fits_input = is_channels_last or _fits(*first, size)
    if is_channels_last:
        note = f"the output {list(shape)} is read as [N, H, W, C]: its second and third axis are the picture's"
        return FeatureLayout(axes="[N, H, W, C]", grid=last, fits_input=fits_input, note=note)
    note = ""
    if size is not None and not fits_input:
        note = (
            f"the output {list(shape)} is read as [N, C, H, W], though its places do not have the picture's proportions"
        )
    return FeatureLayout(axes="[N, C, H, W]", grid=first, fits_input=fits_input, note=note)


def _video_layout(shape: tuple[int, ...], size: tuple[int, int] | None) -> FeatureLayout:
    first, last = (shape[3], shape[4]), (shape[2], shape[3])
    axes: Axes = "[N, C, T, H, W]"
    frame_count, grid = shape[2], first
    if size is not None and _fits(*last, size) and not _fits(*first, size):
        axes, frame_count, grid = "[N, T, H, W, C]", shape[1], last
    note = f"the output {list(shape)} is read as {axes}; the map is the mean over its {frame_count} time steps"
    fits_input = size is not None and _fits(*grid, size)
    return FeatureLayout(axes=axes, grid=grid, fits_input=fits_input, note=note)
