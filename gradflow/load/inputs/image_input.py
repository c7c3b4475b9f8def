"""A picture as the model's input, with the preprocessing of the weights or ImageNet's."""

from __future__ import annotations

from typing import Any

import numpy
import torch

from gradflow.errors import LoadError
from gradflow.load.files.kind import existing_file
from gradflow.load.inputs.random_input import whole_number
from gradflow.load.module_tree import modules_in
from gradflow.load.quiet import quietly
from gradflow.load.source import ImagePreset, SourcedModel

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "image_input"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_USUAL_SIZE = 224
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""None that starts another program, as Pillow does for EPS."""

_MOST_PIXELS = 2 * 89_478_485
"""Twice the size of which Pillow warns; by itself it opens none that is larger."""
_MOST_RATIO = 50
_LONGEST_SIDE = 4096  # of a model's input; a model from a file may claim anything


def image_input(path: str, source: SourcedModel) -> tuple[torch.Tensor, numpy.ndarray, str]:
    """The tensor ``[C, H, W]``, the picture as the model sees it (uint8 ``[H, W, 3]``), and how it was made, in words.

    Without weights: the shorter side is resized to 256/224 of the input size, the centre is cropped, and ImageNet's
    mean and standard deviation are taken off; a model of one channel gets a grey picture between 0 and 1.

    Raises
    ------
    LoadError
        When the file is no picture.
    """
    picture = _open(path)
    preset = source.preset or _imagenet_preset(source)
    try:
        tensor = preset.transform(picture)
    except Exception as error:
        raise LoadError(
            f"`{path}` cannot be preprocessed for this model",
            note=f"{preset.name}: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}",
            hint="preprocess it yourself and pass the tensor with `--input FILE.pt`",
        ) from error
    return tensor, _as_picture(tensor, preset), preset.name


def _open(path: str) -> Any:
    from PIL import Image, UnidentifiedImageError

    file = existing_file(path, "a picture")
    try:
        # of large or odd pictures Pillow warns, on stderr too: what matters of that is an error here
        with quietly(), Image.open(file, formats=_FORMATS) as picture:
            _require_reasonable_size(path, *picture.size)
            return picture.convert("RGB")  # of an animation, the first frame
    except LoadError:
        raise
    except UnidentifiedImageError as error:
        raise LoadError(
            f"`{path}` is not a picture in a format that gradflow reads",
            note=f"it reads {', '.join(_FORMATS)}, and looks at the content, not at the name",
            hint="save it as PNG or JPEG",
        ) from error
    except Image.DecompressionBombError as error:  # also of fewer pixels, where the user's code has set it so
        raise _too_many_pixels(path, str(error).partition(",")[0]) from error
    except MemoryError as error:
        raise LoadError(f"`{path}` is a picture that does not fit into memory", hint="make it smaller") from error
    except Exception as error:  # damaged pictures raise nearly anything
        raise LoadError(
            f"`{path}` is a truncated or damaged picture", note=f"{type(error).__name__}: {error}"
        ) from error


def _require_reasonable_size(path: str, width: int, height: int) -> None:
    """Raise before the picture is decoded: a few bytes can stand for gigabytes of pixels."""
    if width * height > _MOST_PIXELS:
        raise _too_many_pixels(path, f"it has {width:,} x {height:,}")
    if max(width, height) > _MOST_RATIO * min(width, height):
        raise LoadError(
            f"`{path}` has {width:,} x {height:,} pixels, which is too narrow a strip",
            note=f"the longer side may be {_MOST_RATIO} times the shorter, which is resized to the model's input",
            hint="cut out the part that the model should see",
        )


def _too_many_pixels(path: str, how_many: str) -> LoadError:
    return LoadError(
        f"`{path}` has too many pixels",
        note=f"{how_many}; gradflow reads pictures of at most {_MOST_PIXELS:,}, and models take far smaller ones",
        hint="make it smaller",
    )


def _imagenet_preset(source: SourcedModel) -> ImagePreset:
    size = _expected_size(source)
    if _input_channels(source.model) == 1:
        return ImagePreset(
            transform=lambda picture: _cropped(picture, size).mean(dim=0, keepdim=True),
            mean=(0.0,),
            std=(1.0,),
            name=f"resized, centre {size[0]} x {size[1]}, grey between 0 and 1 for a model of one channel",
        )
    mean, std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    return ImagePreset(
        transform=lambda picture: (_cropped(picture, size) - mean) / std,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        name=f"resized, centre {size[0]} x {size[1]}, ImageNet's mean and standard deviation",
    )


def _expected_size(source: SourcedModel) -> tuple[int, int]:
    size = source.input_size
    if size is None:
        config = getattr(source.model, "pretrained_cfg", None)
        size = config.get("input_size") if isinstance(config, dict) else None
    sides = size[1:] if isinstance(size, (tuple, list)) and len(size) == 3 else ()
    height, width = (whole_number(side, least=1) for side in sides or (_USUAL_SIZE, _USUAL_SIZE))
    if height is None or width is None or max(height, width) > _LONGEST_SIDE:
        return _USUAL_SIZE, _USUAL_SIZE
    return height, width


def _input_channels(model: torch.nn.Module) -> int:
    first = next((module for module in modules_in(model) if isinstance(module, torch.nn.Conv2d)), None)
    return whole_number(getattr(first, "in_channels", None)) or 3


def _cropped(picture: Any, size: tuple[int, int]) -> torch.Tensor:
    """``[3, H, W]`` between 0 and 1: shorter side to 256/224 of the size, centre crop (as torchvision's presets do)."""
    from PIL import Image

    height, width = size
    scale = max(height / picture.height, width / picture.width) * 256 / 224
    resized = (max(width, round(picture.width * scale)), max(height, round(picture.height * scale)))
    left, top = round((resized[0] - width) / 2), round((resized[1] - height) / 2)
    cropped = picture.resize(resized, Image.Resampling.BILINEAR).crop((left, top, left + width, top + height))
    return torch.from_numpy(numpy.array(cropped, dtype=numpy.uint8)).permute(2, 0, 1).to(torch.float32) / 255


def _as_picture(tensor: torch.Tensor, preset: ImagePreset) -> numpy.ndarray:
    channels = (-1, 1, 1)
    plain = tensor.detach().float() * torch.tensor(preset.std).view(channels) + torch.tensor(preset.mean).view(channels)
    bytes_ = (plain.clamp(0, 1) * 255).round().to(torch.uint8)
    return bytes_.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
