"""From an activation and its gradient to a class activation map."""

from __future__ import annotations

import numpy
import torch

from gradflow.cam.methods import METHODS
from gradflow.cam.result import CamResult
from gradflow.errors import GradflowError, UsageError
from gradflow.layers.feature_layout import FeatureLayout, feature_layout

__all__ = ["grad_cam"]

_MOST_NAMED = 8


def grad_cam(
    activation: torch.Tensor,
    gradient: torch.Tensor,
    *,
    layer: str,
    target: int | None,
    input_size: tuple[int, int] | None,
    image: numpy.ndarray | None = None,
    method: str = "grad-cam",
) -> CamResult:
    """The class activation map of a layer.

    Grad-CAM (Selvaraju et al. 2017, equations 1 and 2) weighs each channel of the activation with the mean of its
    gradient over all places, sums the channels and keeps what is positive. The saliency is scaled per sample by its
    minimum and maximum.

    Parameters
    ----------
    activation, gradient
        Of the layer's output, of the same shape and of any floating-point type and device: a feature map
        ``[N, C, H, W]`` (or ``[N, H, W, C]``, as Swin makes them), a video's ``[N, C, T, H, W]``, of which the map is
        the mean over time, or tokens ``[N, T, C]``, of which class and register tokens are left out.
    layer, target
        The qualified name and the class index, kept with the map.
    input_size
        ``(height, width)`` of the input in pixels; it settles in which order the axes are. ``None`` when the input is
        no image.
    image
        The picture as the model saw it, uint8 ``[H, W, 3]``, kept for the overlay.
    method
        ``"grad-cam"``, ``"grad-cam++"``, ``"layer-cam"`` or ``"hires-cam"``.

    Raises
    ------
    NoSpatialAxesError
        When the output has no height and width.
    GradflowError
        When the activation or the gradient is not finite: such a map would be noise.
    """
    if method not in METHODS:
        raise UsageError(f"unknown method `{method}`", hint=f"one of {', '.join(f'`{name}`' for name in METHODS)}")
    activation, gradient = _dense(activation, layer), _dense(gradient, layer)
    if activation.shape != gradient.shape:
        raise UsageError(f"activation {list(activation.shape)} and gradient {list(gradient.shape)} differ in shape")
    _require_finite("activation", activation, layer)
    _require_finite("gradient", gradient, layer)
    layout = feature_layout(tuple(activation.shape), input_size, layer=layer)
    title, formula = METHODS[method]
    with torch.no_grad():
        places = _channels_first(_computable(activation), layout)
        slopes = _channels_first(_computable(gradient), layout)
        saliency = formula(places, slopes)
        if saliency.ndim == 4:
            saliency = saliency.mean(1)
        _require_finite("map", saliency, layer)
        normalised = _scaled(saliency)
    return CamResult(
        method=title,
        layer=layer,
        target=target,
        saliency=_as_array(saliency),
        normalised=_as_array(normalised),
        input_size=input_size,
        image=image,
        notes=tuple(_notes(layout, places, slopes, saliency, _computable(gradient))),
    )


def _dense(value: torch.Tensor, layer: str) -> torch.Tensor:
    if value.is_nested:
        raise GradflowError(f"no map of `{layer}`: a nested tensor has no one height and width")
    return value if value.layout is torch.strided else value.to_dense()


def _require_finite(what: str, value: torch.Tensor, layer: str) -> None:
    finite = torch.isfinite(value)
    if not bool(finite.all()):
        count = int(value.numel() - finite.sum())
        raise GradflowError(
            f"no map of `{layer}`: {count} of {value.numel()} entries of the {what} are not finite",
            note="a sum over channels that holds NaN or infinity shows nothing",
        )


def _computable(value: torch.Tensor) -> torch.Tensor:
    """The same numbers in float32, or in float64 where they come so: sums in half precision lose the small channels."""
    value = value.detach()
    return value if value.dtype == torch.float64 else value.float()


def _channels_first(value: torch.Tensor, layout: FeatureLayout) -> torch.Tensor:
    """``[N, C, H, W]``, or ``[N, C, T, H, W]`` for a video."""
    if layout.axes in ("[N, H, W, C]", "[N, T, H, W, C]"):
        return value.movedim(-1, 1)
    if layout.axes == "[N, T, C]":
        patches = value[:, layout.extra_tokens :]
        return patches.transpose(1, 2).reshape(value.shape[0], value.shape[2], *layout.grid)
    return value


def _scaled(saliency: torch.Tensor) -> torch.Tensor:
    """Each sample to 0..1 by its minimum and maximum; a map without contrast to all one if positive, else all zero."""
    low = saliency.amin(dim=(1, 2), keepdim=True)
    high = saliency.amax(dim=(1, 2), keepdim=True)
    spread = high - low
    flat = (high > 0).to(saliency.dtype).expand_as(saliency)
    return torch.where(spread > 0, (saliency - low) / torch.where(spread > 0, spread, torch.ones_like(spread)), flat)


def _as_array(value: torch.Tensor) -> numpy.ndarray:
    array: numpy.ndarray = value.to("cpu", torch.float32).contiguous().numpy()
    return array


def _notes(
    layout: FeatureLayout,
    places: torch.Tensor,
    slopes: torch.Tensor,
    saliency: torch.Tensor,
    gradient: torch.Tensor,
) -> list[str]:
    notes = [layout.note] if layout.note else []
    if not layout.is_spatial:
        notes.append(
            "the feature map has a single place, so the map cannot say where: use a larger input or an earlier layer"
        )
    is_zero = (saliency == 0).flatten(1).all(1)
    samples_by_reason: dict[str, list[int]] = {}
    for sample in is_zero.nonzero().flatten().tolist():
        reason = _why_zero(layout, places[sample], slopes[sample], gradient[sample])
        samples_by_reason.setdefault(reason, []).append(sample)
    for reason, samples in samples_by_reason.items():
        if len(samples) == len(saliency):
            notes.append(f"the map is zero everywhere: {reason}")
            continue
        named = ", ".join(str(index) for index in samples[:_MOST_NAMED])
        more = f" and {len(samples) - _MOST_NAMED} more" if len(samples) > _MOST_NAMED else ""
        notes.append(f"the map is zero everywhere for some samples of the batch ({named}{more}): {reason}")
    return notes


def _why_zero(layout: FeatureLayout, places: torch.Tensor, slopes: torch.Tensor, gradient: torch.Tensor) -> str:
    """Why the map of one sample is; ``gradient`` is that of all its tokens."""
    if not bool(slopes.any()):
        if layout.extra_tokens and bool(gradient.any()):
            return (
                "the score reads only the class token here, the patches get a gradient of exactly zero; "
                "ask for the norm before the last attention"
            )
        return "the gradient is exactly zero at every place"
    if not bool(places.any()):
        return "the activation itself is"
    return "at no place is the weighted sum over the channels positive, and only what speaks for the class is shown"
