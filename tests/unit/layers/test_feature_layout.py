"""Height and width are found from shapes, or the question is refused."""

from __future__ import annotations

import pytest
import torch

from gradflow.errors import NoSpatialAxesError
from gradflow.layers.feature_layout import batch_size, feature_layout, input_size, token_grid


@pytest.mark.parametrize(
    ("count", "size", "grid", "extra"),
    [
        (196, (224, 224), (14, 14), 0),
        (197, (224, 224), (14, 14), 1),
        (198, (224, 224), (14, 14), 2),
        (261, (224, 224), (16, 16), 5),
        (1370, (518, 518), (37, 37), 1),
        (17, (64, 64), (4, 4), 1),
        (1 + 14 * 28, (224, 448), (14, 28), 1),
        (1 + 30 * 40, (480, 640), (30, 40), 1),
        (1 + 7 * 10, (100, 150), (7, 10), 1),
    ],
)
def test_the_grid_of_tokens(count: int, size: tuple[int, int], grid: tuple[int, int], extra: int) -> None:
    assert token_grid(count, size) == (grid, extra)


@pytest.mark.parametrize(("count", "size"), [(7, (64, 64)), (208, (224, 224)), (1, (64, 64)), (128, (224, 224))])
def test_what_is_no_grid_is_refused(count: int, size: tuple[int, int]) -> None:
    with pytest.raises(NoSpatialAxesError, match=f"a sequence of {count} tokens"):
        token_grid(count, size)


@pytest.mark.parametrize(
    ("shape", "size", "axes", "grid"),
    [
        ((1, 512, 7, 7), (224, 224), "[N, C, H, W]", (7, 7)),
        ((1, 7, 7, 768), (224, 224), "[N, H, W, C]", (7, 7)),
        ((1, 15, 20, 96), (480, 640), "[N, H, W, C]", (15, 20)),
        ((1, 96, 15, 20), (480, 640), "[N, C, H, W]", (15, 20)),
        ((1, 7, 7, 768), None, "[N, H, W, C]", (7, 7)),
        ((1, 512, 7, 7), None, "[N, C, H, W]", (7, 7)),
        ((1, 8, 8, 8), (64, 64), "[N, C, H, W]", (8, 8)),
        ((1, 512, 2, 7, 7), (224, 224), "[N, C, T, H, W]", (7, 7)),
        ((1, 8, 7, 7, 768), (224, 224), "[N, T, H, W, C]", (7, 7)),
    ],
)
def test_the_order_of_axes(
    shape: tuple[int, ...], size: tuple[int, int] | None, axes: str, grid: tuple[int, int]
) -> None:
    layout = feature_layout(shape, size)
    assert (layout.axes, layout.grid) == (axes, grid)
    assert bool(layout.note) is (axes != "[N, C, H, W]"), "whatever is not torch's usual order is said"


def test_a_map_of_other_proportions_than_the_picture_is_said() -> None:
    layout = feature_layout((1, 8, 393, 96), (224, 224))
    assert not layout.fits_input
    assert "do not have the picture's proportions" in layout.note


@pytest.mark.parametrize(
    ("inputs", "size", "batch"),
    [
        ((torch.zeros(2, 3, 32, 48),), (32, 48), 2),
        ((torch.zeros(2, 3, 8, 32, 48),), (32, 48), 2),
        (([torch.zeros(3, 32, 48), torch.zeros(3, 32, 48), torch.zeros(3, 9, 9)],), (32, 48), 3),
        ((torch.zeros(2, 5, dtype=torch.int64),), None, 2),
        ((torch.zeros(4, 10, 20),), None, 4),
        ((torch.zeros(2, 3, 4, 4, dtype=torch.int64), torch.zeros(2, 3, 16, 16)), (16, 16), 2),
        ((torch.zeros(2, 64, 1, 1),), None, 2),
        ((3.0, "text"), None, None),
    ],
)
def test_the_picture_among_the_inputs(
    inputs: tuple[object, ...], size: tuple[int, int] | None, batch: int | None
) -> None:
    assert input_size(inputs) == size
    assert batch_size(inputs) == batch


def test_a_picture_given_by_keyword() -> None:
    assert input_size((), {"pixel_values": torch.zeros(1, 3, 16, 24)}) == (16, 24)
    assert batch_size((), {"pixel_values": torch.zeros(1, 3, 16, 24)}) == 1
