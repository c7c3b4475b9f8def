"""A map becomes a picture of the input's size, or plain numbers; the file is whole or absent."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

from gradflow.cam.colormap import colorize
from gradflow.cam.overlay import CANVAS, GAP, overlay, write_cam
from gradflow.cam.result import CamResult
from gradflow.errors import RenderError


def make_cam(
    normalised: numpy.ndarray, size: tuple[int, int] | None = (48, 64), image: numpy.ndarray | None = None
) -> CamResult:
    return CamResult(
        method="Grad-CAM",
        layer="layer4",
        target=7,
        saliency=normalised * 3,
        normalised=normalised,
        input_size=size,
        image=image,
    )


@pytest.fixture
def corner() -> numpy.ndarray:
    """One sample whose upper left place alone is salient."""
    value = numpy.zeros((1, 3, 4), dtype=numpy.float32)
    value[0, 0, 0] = 1.0
    return value


def test_the_picture_has_the_size_of_the_input_and_is_bright_where_the_map_is(
    corner: numpy.ndarray, tmp_path: Path
) -> None:
    written = write_cam(make_cam(corner), tmp_path / "map.png")
    with Image.open(written) as picture:
        assert picture.size == (64, 48)
        assert picture.text["Title"] == "Grad-CAM of layer4 for class 7"  # type: ignore[attr-defined]
        pixels = numpy.asarray(picture).astype(int)
    assert pixels[4, 4].sum() > 2.5 * pixels[40, 60].sum()


def test_places_are_enlarged_as_torch_does(corner: numpy.ndarray) -> None:
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(corner)[None], size=(48, 64), mode="bilinear", align_corners=False
    )[0, 0].numpy()
    canvas = numpy.full((48, 64, 3), CANVAS, dtype=numpy.float32)
    blended = canvas * 0.15 + colorize(expected) * 0.85
    numpy.testing.assert_allclose(overlay(make_cam(corner)), blended, atol=1.0)


def test_the_picture_is_seen_through_where_the_map_is_weak(corner: numpy.ndarray) -> None:
    image = numpy.full((48, 64, 3), 120, dtype=numpy.uint8)
    image[:, 32:] = 240
    pixels = overlay(make_cam(corner, image=image)).astype(int)
    assert (pixels[40, 60] - pixels[40, 20]).min() > 80, "the picture's own edge is still there"
    assert pixels[4, 4, 0] - pixels[4, 4, 2] > pixels[40, 20, 0] - pixels[40, 20, 2] + 30, (
        "the salient corner is coloured"
    )


def test_a_picture_of_another_size_is_fitted_to_the_input(corner: numpy.ndarray) -> None:
    assert overlay(make_cam(corner, image=numpy.zeros((96, 128, 3), dtype=numpy.uint8))).shape == (48, 64, 3)


def test_without_an_input_size_places_are_drawn_as_cells(corner: numpy.ndarray) -> None:
    assert overlay(make_cam(corner, size=None)).shape == (96, 128, 3)


def test_a_batch_becomes_a_contact_sheet_of_those_with_a_map(tmp_path: Path) -> None:
    maps = numpy.zeros((6, 3, 4), dtype=numpy.float32)
    maps[[0, 2, 5], 1, 1] = 1.0
    with Image.open(write_cam(make_cam(maps), tmp_path / "maps.png")) as picture:
        assert picture.size == (2 * 64 + GAP, 2 * 48 + GAP)


def test_a_map_of_zeros_is_drawn_all_the_same(tmp_path: Path) -> None:
    with Image.open(write_cam(make_cam(numpy.zeros((2, 3, 4), dtype=numpy.float32)), tmp_path / "zero.png")) as picture:
        assert picture.size == (64, 48)
        assert len(picture.getcolors() or []) == 1


def test_numbers_are_the_saliency_as_it_is(corner: numpy.ndarray, tmp_path: Path) -> None:
    loaded = numpy.load(write_cam(make_cam(corner), tmp_path / "map.npy"), allow_pickle=False)
    assert loaded.dtype == numpy.float32
    numpy.testing.assert_array_equal(loaded, corner * 3)


def test_identical_maps_give_identical_bytes(corner: numpy.ndarray, tmp_path: Path) -> None:
    first, second = (write_cam(make_cam(corner), tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second


@pytest.mark.parametrize("name", ["map.gif", "map"])
def test_another_extension_is_refused_and_nothing_written(corner: numpy.ndarray, tmp_path: Path, name: str) -> None:
    with pytest.raises(RenderError, match="cannot write a map") as caught:
        write_cam(make_cam(corner), tmp_path / name)
    assert "`.png`" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_told(corner: numpy.ndarray, tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="there is no folder"):
        write_cam(make_cam(corner), tmp_path / "absent" / "map.png")


def test_nothing_is_left_beside_a_file_that_cannot_be_replaced(corner: numpy.ndarray, tmp_path: Path) -> None:
    (tmp_path / "map.png").mkdir()
    with pytest.raises(RenderError):
        write_cam(make_cam(corner), tmp_path / "map.png")
    assert [path.name for path in tmp_path.iterdir()] == ["map.png"]


def test_the_colours_get_brighter_all_the_way() -> None:
    brightness = colorize(numpy.linspace(0, 1, 101)[None])[0] @ numpy.array([0.2126, 0.7152, 0.0722])
    assert (numpy.diff(brightness) > 0).all()
    assert brightness[0] < 2
    assert brightness[-1] > 240
