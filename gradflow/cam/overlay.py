"""Writes a class activation map to a file: as a picture over the input, or as numbers."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gradflow.cam.colormap import colorize
from gradflow.cam.result import CamResult
from gradflow.errors import RenderError
from gradflow.output.marks import PNG_SOFTWARE
from gradflow.output.named import output_path
from gradflow.output.whole_file import write_whole

__all__ = ["cam_content", "overlay", "write_cam"]

MAX_TILES = 16
GAP = 4
CANVAS = 200
CELL = 32
"""Pixels per place of the map where neither the input's size nor a picture says how large to draw it."""


def write_cam(cam: CamResult, path: str | Path) -> Path:
    """Write a map to ``path``; the extension says how.

    ``.png``
        The scaled map, enlarged to the input's size and laid over the picture, or over plain grey without one. The maps
        of a batch stand side by side, up to sixteen; samples whose map is zero are left out, unless all are.
    ``.npy``
        The saliency as float32 ``[N, h, w]``, at the layer's own resolution and not scaled.

    The file appears whole or not at all.

    Raises
    ------
    RenderError
        When the extension is another one, or the file cannot be written.
    """
    path = output_path(path)
    write_whole(path, cam_content(cam, path))
    return path


def cam_content(cam: CamResult, path: Path) -> bytes:
    """What :func:`write_cam` writes to ``path``.

    Raises
    ------
    RenderError
        When the extension is none of a map.
    """
    extension = path.suffix.lower()
    if extension == ".png":
        return _as_png(cam)
    if extension == ".npy":
        return _as_npy(cam.saliency)
    raise RenderError(
        f"cannot write a map to `{path.name}`",
        note=f"`{extension}` is not a format of maps" if extension else "the file name has no extension",
        hint="use `.png` for a picture or `.npy` for the numbers",
    )


def overlay(cam: CamResult, sample: int = 0) -> numpy.ndarray:
    """One sample's map laid over the picture (over plain grey without one), uint8 ``[H, W, 3]`` of the input's size.

    The stronger the map, the more of its colour and the less of the picture is seen.
    """
    height, width = _canvas_size(cam)
    strength = _enlarged(cam.normalised[sample], height, width)
    if cam.image is not None and sample == 0:
        picture = Image.fromarray(cam.image).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        background = _muted(numpy.asarray(picture, dtype=numpy.float32))
        opacity = 0.2 + 0.55 * strength[..., None]
    else:
        background = numpy.full((height, width, 3), CANVAS, dtype=numpy.float32)
        opacity = numpy.full((height, width, 1), 0.85, dtype=numpy.float32)
    blended = background * (1 - opacity) + colorize(strength) * opacity
    return blended.round().clip(0, 255).astype(numpy.uint8)


def _canvas_size(cam: CamResult) -> tuple[int, int]:
    if cam.input_size is not None:
        return cam.input_size
    if cam.image is not None:
        return cam.image.shape[0], cam.image.shape[1]
    return cam.normalised.shape[1] * CELL, cam.normalised.shape[2] * CELL


def _muted(picture: numpy.ndarray) -> numpy.ndarray:
    """Colours halfway to grey, so that the map's colours are not taken for the picture's."""
    grey = picture @ numpy.array([0.299, 0.587, 0.114], dtype=numpy.float32)
    return 0.5 * picture + 0.5 * grey[..., None]


def _enlarged(value: numpy.ndarray, height: int, width: int) -> numpy.ndarray:
    """Bilinear; each place's value is at the centre of its patch, as with torch's ``align_corners=False``."""
    picture = Image.fromarray(numpy.ascontiguousarray(value, dtype=numpy.float32))
    return numpy.asarray(picture.resize((width, height), Image.Resampling.BILINEAR)).clip(0.0, 1.0)


def _contact_sheet(tiles: list[numpy.ndarray]) -> numpy.ndarray:
    """Tiles of one size, row by row in a grid that is nearly square, with white gaps."""
    column_count = math.ceil(math.sqrt(len(tiles)))
    row_count = math.ceil(len(tiles) / column_count)
    height, width = tiles[0].shape[:2]
    shape = (row_count * (height + GAP) - GAP, column_count * (width + GAP) - GAP, 3)
    sheet = numpy.full(shape, 255, dtype=numpy.uint8)
    for index, tile in enumerate(tiles):
        top, left = (index // column_count) * (height + GAP), (index % column_count) * (width + GAP)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def _as_png(cam: CamResult) -> bytes:
    samples = [index for index, value in enumerate(cam.normalised) if value.any()] or [0]
    pixels = _contact_sheet([overlay(cam, sample) for sample in samples[:MAX_TILES]])
    text = PngInfo()
    text.add_text(*PNG_SOFTWARE)
    text.add_text(
        "Title", f"{cam.method} of {cam.layer}" + (f" for class {cam.target}" if cam.target is not None else "")
    )
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", pnginfo=text)
    return buffer.getvalue()


def _as_npy(value: numpy.ndarray) -> bytes:
    buffer = io.BytesIO()
    numpy.save(buffer, value.astype(numpy.float32, copy=False), allow_pickle=False)
    return buffer.getvalue()
