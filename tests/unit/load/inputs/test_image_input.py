"""Pictures: a short list of formats, and a size that is looked at before anything is decoded."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, UnidentifiedImageError

from gradflow.errors import LoadError
from gradflow.load.inputs.image_input import image_input
from gradflow.load.source import SourcedModel


def source(**attributes: Any) -> SourcedModel:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
    for name, value in attributes.items():
        setattr(model, name, value)
    return SourcedModel(model=model, name="net")


def png(path: Path, width: int, height: int) -> Path:
    """The beginning of a picture of this size: some sixty bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))))
    return path


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "gif", "tiff"])
def test_usual_formats_are_read_whatever_they_are_called(tmp_path: Path, suffix: str) -> None:
    Image.new("RGB", (40, 30), (200, 30, 30)).save(tmp_path / f"p.{suffix}")
    (tmp_path / f"p.{suffix}").rename(tmp_path / "picture.dat")
    tensor, image, _ = image_input(str(tmp_path / "picture.dat"), source())
    assert (tuple(tensor.shape), image.shape) == ((3, 224, 224), (224, 224, 3))
    assert abs(int(image[0, 0, 0]) - 200) < 12


@pytest.mark.parametrize(
    "content", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n", b"<svg/>", b"text"]
)
def test_other_formats_are_refused_by_their_content(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "photo.jpg").write_bytes(content)
    with pytest.raises(LoadError, match="not a picture in a format that gradflow reads"):
        image_input(str(tmp_path / "photo.jpg"), source())


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (14_000, 14_000), (2**31 - 1, 2**31 - 1)])
def test_a_small_file_of_many_pixels_is_refused_without_a_warning(tmp_path: Path, width: int, height: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(LoadError, match="too many pixels") as caught:
            image_input(str(png(tmp_path / "p.png", width, height)), source())
    assert "at most 178,956,970" in caught.value.note
    assert f"({width * height} pixels)" in caught.value.note


def test_a_picture_of_which_pillow_only_warns_is_read(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="truncated or damaged"):  # its pixels are not there, and are looked for
        image_input(str(png(tmp_path / "p.png", 13_000, 13_000)), source())


def test_the_bound_is_ours_also_where_pillow_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(LoadError, match="too many pixels") as caught:
        image_input(str(png(tmp_path / "p.png", 50_000, 50_000)), source())
    assert "50,000 x 50,000" in caught.value.note


@pytest.mark.parametrize("size", [(1, 100_000), (100_000, 1)])
def test_a_narrow_strip_is_refused_before_it_is_enlarged(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(tmp_path / "p.png")
    with pytest.raises(LoadError, match="too narrow a strip"):
        image_input(str(tmp_path / "p.png"), source())
    Image.new("RGB", (10, 400)).save(tmp_path / "p.png")
    assert image_input(str(tmp_path / "p.png"), source())[0].shape == (3, 224, 224)


def test_a_truncated_picture_is_one_error(tmp_path: Path) -> None:
    Image.effect_noise((100, 80), 50).save(tmp_path / "p.jpg")
    data = (tmp_path / "p.jpg").read_bytes()
    (tmp_path / "p.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(LoadError, match="truncated or damaged"):
        image_input(str(tmp_path / "p.jpg"), source())


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (30, 30), colour) for colour in ((0, 200, 0), (200, 0, 0), (0, 0, 200))]
    frames[0].save(tmp_path / "p.gif", save_all=True, append_images=frames[1:])
    image = image_input(str(tmp_path / "p.gif"), source())[1]
    assert image[100, 100].argmax() == 1


@pytest.mark.parametrize("size", [(3, 10**9, 10**9), (3, -5, 5), (3, "x", None), "big", (1, 2)])
def test_what_a_model_claims_of_its_input_is_not_believed_blindly(tmp_path: Path, size: object) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "p.png")
    tensor, _, _ = image_input(str(tmp_path / "p.png"), source(pretrained_cfg={"input_size": size}))
    assert tuple(tensor.shape) == (3, 224, 224)
    tensor, _, _ = image_input(str(tmp_path / "p.png"), source(pretrained_cfg={"input_size": (3, 64, 48)}))
    assert tuple(tensor.shape) == (3, 64, 48)


def test_what_pillow_logs_is_not_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    entries = [(256, 8), (257, 8), (258, 8), (259, 1), (262, 2), (273, 200), (277, 2048), (278, 8), (279, 192)]
    table = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in entries)
    (tmp_path / "p.tif").write_bytes(b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + table + bytes(304))
    with pytest.raises(UnidentifiedImageError):
        Image.open(tmp_path / "p.tif")
    assert caplog.messages == ["More samples per pixel than can be decoded: 2048"]
    caplog.clear()
    with pytest.raises(LoadError, match="not a picture in a format"):
        image_input(str(tmp_path / "p.tif"), source())
    assert caplog.messages == []
