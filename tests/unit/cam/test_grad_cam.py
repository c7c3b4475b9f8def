"""The map is the formula of the paper, whatever the order of the axes and the type of the numbers."""

from __future__ import annotations

import numpy
import pytest
import torch

from gradflow.cam.grad_cam import grad_cam
from gradflow.cam.result import CamResult
from gradflow.errors import GradflowError, NoSpatialAxesError, UsageError

SIZE = (64, 64)


def make_map(
    activation: torch.Tensor,
    gradient: torch.Tensor,
    *,
    size: tuple[int, int] | None = SIZE,
    method: str = "grad-cam",
) -> CamResult:
    return grad_cam(activation, gradient, layer="layer4", target=3, input_size=size, method=method)


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (2, 6, 4, 4)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def by_hand(activation: torch.Tensor, gradient: torch.Tensor) -> numpy.ndarray:
    """Equations 1 and 2 of the paper, place by place."""
    samples, channels, height, width = activation.shape
    result = numpy.zeros((samples, height, width))
    for n in range(samples):
        for k in range(channels):
            weight = sum(float(value) for value in gradient[n, k].flatten()) / (height * width)
            result[n] += weight * activation[n, k].double().numpy()
    return numpy.maximum(result, 0.0)


def test_it_is_the_weighted_sum_of_channels_cut_at_zero(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    cam = make_map(*pair)
    numpy.testing.assert_allclose(cam.saliency, by_hand(*pair), atol=1e-6)
    assert (cam.method, cam.layer, cam.target, cam.input_size) == ("Grad-CAM", "layer4", 3, SIZE)
    assert cam.saliency.dtype == cam.normalised.dtype == numpy.float32
    assert cam.notes == ()


def test_each_sample_is_scaled_on_its_own(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    activation, gradient = pair
    cam = make_map(activation, gradient * torch.tensor([1.0, 1e-12]).view(2, 1, 1, 1))
    for sample in range(2):
        assert cam.normalised[sample].min() == 0.0
        assert cam.normalised[sample].max() == 1.0
    numpy.testing.assert_allclose(cam.normalised, make_map(*pair).normalised, atol=1e-6)


def test_channels_last_gives_the_same_map_and_says_so(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    activation, gradient = pair
    cam = make_map(activation.repeat(1, 8, 1, 1).permute(0, 2, 3, 1), gradient.repeat(1, 8, 1, 1).permute(0, 2, 3, 1))
    numpy.testing.assert_allclose(cam.saliency, 8 * make_map(*pair).saliency, rtol=1e-5, atol=1e-5)
    assert "[N, H, W, C]" in cam.notes[0]


@pytest.mark.parametrize("extra", [0, 1, 2, 5])
def test_tokens_are_laid_out_and_tokens_without_place_left_out(
    pair: tuple[torch.Tensor, torch.Tensor], extra: int
) -> None:
    def as_tokens(value: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.full((2, extra, 6), 100.0), value.flatten(2).transpose(1, 2)], 1)

    cam = make_map(*map(as_tokens, pair))
    numpy.testing.assert_allclose(cam.saliency, make_map(*pair).saliency, atol=1e-6)
    assert f"a sequence of {16 + extra} tokens, read as a grid of 4 x 4 patches" in cam.notes[0]


def test_a_video_is_averaged_over_time_and_says_so(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    still = [value.unsqueeze(2).expand(-1, -1, 3, -1, -1) for value in pair]
    cam = make_map(*still)
    numpy.testing.assert_allclose(cam.saliency, make_map(*pair).saliency, atol=1e-6)
    assert "mean over its 3 time steps" in cam.notes[0]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float16, 5e-3), (torch.bfloat16, 4e-2)])
def test_other_types_of_numbers(pair: tuple[torch.Tensor, torch.Tensor], dtype: torch.dtype, tolerance: float) -> None:
    cam = make_map(*(value.to(dtype) for value in pair))
    assert cam.saliency.dtype == numpy.float32
    numpy.testing.assert_allclose(cam.saliency, make_map(*pair).saliency, atol=tolerance)


def test_half_precision_does_not_overflow_in_the_sum() -> None:
    large = torch.full((1, 64, 4, 4), 200.0, dtype=torch.float16)
    cam = make_map(large, large)
    assert cam.saliency.max() == pytest.approx(64 * 200.0 * 200.0)


def test_it_needs_no_gradient_mode_and_changes_nothing(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    activation, gradient = pair
    activation.requires_grad_()
    before = activation.detach().clone()
    make_map(activation * 1.0, gradient)
    assert torch.equal(activation, before)
    assert activation.grad is None


@pytest.mark.parametrize(
    ("shape", "size"),
    [((2, 8), SIZE), ((2, 7, 8), SIZE), ((2, 7, 8), None), ((2, 16, 8), None), ((8,), SIZE), ((), SIZE)],
)
def test_an_output_without_height_and_width_is_refused(shape: tuple[int, ...], size: tuple[int, int] | None) -> None:
    with pytest.raises(NoSpatialAxesError, match="no spatial axes: the output of `layer4`"):
        make_map(torch.ones(shape), torch.ones(shape), size=size)


def test_activation_and_gradient_of_different_calls_are_refused() -> None:
    with pytest.raises(UsageError, match="differ in shape"):
        make_map(torch.ones(1, 2, 4, 4), torch.ones(2, 2, 4, 4))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("which", ["activation", "gradient"])
def test_numbers_that_are_none_are_refused(pair: tuple[torch.Tensor, torch.Tensor], value: float, which: str) -> None:
    pair[which == "gradient"][0, 0, 0, 0] = value
    with pytest.raises(GradflowError, match=f"1 of 192 entries of the {which} are not finite"):
        make_map(*pair)


def test_a_gradient_of_zero_is_told(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    cam = make_map(pair[0], torch.zeros_like(pair[1]))
    assert not cam.saliency.any()
    assert not cam.normalised.any()
    assert cam.notes == ("the map is zero everywhere: the gradient is exactly zero at every place",)


def test_a_map_that_only_speaks_against_is_told() -> None:
    cam = make_map(torch.ones(1, 2, 4, 4), -torch.ones(1, 2, 4, 4))
    assert not cam.saliency.any()
    assert "at no place is the weighted sum over the channels positive" in cam.notes[0]


def test_class_token_pooling_is_told() -> None:
    activation, gradient = torch.ones(1, 17, 8), torch.zeros(1, 17, 8)
    gradient[:, 0] = 1.0
    assert any("reads only the class token" in note for note in make_map(activation, gradient).notes)


def test_samples_without_a_map_are_named(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    pair[1][1] = 0.0
    cam = make_map(*pair)
    assert cam.notes == (
        "the map is zero everywhere for some samples of the batch (1): the gradient is exactly zero at every place",
    )


def test_each_sample_without_a_map_is_told_its_own_reason() -> None:
    activation, gradient = torch.ones(4, 2, 3, 3), torch.ones(4, 2, 3, 3)
    gradient[1] = -1.0
    gradient[2] = 0.0
    activation[3] = 0.0
    against, without, empty = make_map(activation, gradient).notes
    assert "some samples of the batch (1): at no place is the weighted sum over the channels positive" in against
    assert "some samples of the batch (2): the gradient is exactly zero" in without
    assert "some samples of the batch (3): the activation itself is" in empty


def test_where_the_reasons_differ_all_samples_together_are_told_none() -> None:
    activation, gradient = torch.ones(2, 2, 3, 3), -torch.ones(2, 2, 3, 3)
    gradient[1] = 0.0
    assert ["(0)" in note or "(1)" in note for note in make_map(activation, gradient).notes] == [True, True]


def test_a_map_without_contrast_is_not_called_zero() -> None:
    cam = make_map(torch.ones(1, 2, 1, 1), torch.ones(1, 2, 1, 1))
    assert cam.normalised.tolist() == [[[1.0]]]
    assert "a single place" in cam.notes[0]


def test_the_relatives_share_the_map_where_theory_says_so(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    """With a gradient that is the same at all places, HiResCAM is Grad-CAM; with a positive one, LayerCAM is too."""
    activation, gradient = pair
    even = gradient.mean((2, 3), keepdim=True).expand_as(gradient)
    expected = make_map(activation, even).saliency
    numpy.testing.assert_allclose(make_map(activation, even, method="hires-cam").saliency, expected, atol=1e-6)
    expected = make_map(activation, even.abs()).saliency
    numpy.testing.assert_allclose(make_map(activation, even.abs(), method="layer-cam").saliency, expected, atol=1e-6)


def test_grad_cam_plus_plus_is_the_formula_of_its_paper(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    activation, gradient = (value.double() for value in pair)
    weights = torch.zeros(2, 6, dtype=torch.float64)
    for n in range(2):
        for k in range(6):
            total = activation[n, k].sum()
            for slope in gradient[n, k].flatten():
                alpha = slope**2 / (2 * slope**2 + total * slope**3)
                weights[n, k] += alpha * slope.clamp(min=0)
    expected = (weights[:, :, None, None] * activation).sum(1).clamp(min=0)
    cam = make_map(*pair, method="grad-cam++")
    assert cam.method == "Grad-CAM++"
    numpy.testing.assert_allclose(cam.saliency, expected.numpy(), rtol=1e-3, atol=1e-4)


def test_an_unknown_method_names_the_known_ones(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    with pytest.raises(UsageError, match="unknown method `score-cam`") as caught:
        make_map(*pair, method="score-cam")
    assert "`layer-cam`" in caught.value.hint
