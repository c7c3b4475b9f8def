"""A Grad-CAM as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import numpy

__all__ = ["CamResult"]


@dataclass(frozen=True, kw_only=True)
class CamResult:
    """A class activation map of one layer.

    Attributes
    ----------
    method
        ``"Grad-CAM"``, or a relative of it.
    layer
        Qualified name of the target layer.
    target
        Class index, where the score is that of a class.
    saliency
        float32 array of shape ``[N, h, w]``, at the layer's own resolution: the ReLU of the gradient-weighted sum over
        channels, not normalised. ``N`` is the batch size.
    normalised
        The same scaled to 0..1 per sample, float32 ``[N, h, w]``; all zero where ``saliency`` is.
    input_size
        ``(height, width)`` of the model's input in pixels, to which an overlay is enlarged; ``None`` when the input is
        no image.
    image
        The user's image as uint8 ``[H, W, 3]``, or ``None``.
    files
        Files that were written, as given by the user.
    notes
        What a reader of the map should know ("the map is zero everywhere: ...").
    """

    method: str
    layer: str
    target: int | None
    saliency: numpy.ndarray
    normalised: numpy.ndarray
    input_size: tuple[int, int] | None = None
    image: numpy.ndarray | None = None
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def save(self, path: str | Path) -> Path:
        """Write the map: ``.png`` lays it over the picture, or over plain grey; ``.npy`` holds ``saliency``.

        A file that is there is replaced as a whole, whoever has written it.

        Raises
        ------
        RenderError
            When the extension is another one, or the file cannot be written.
        """
        from gradflow.cam.overlay import write_cam

        return write_cam(self, path)
