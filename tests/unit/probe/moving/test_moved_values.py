"""An experiment has moved what it says, of whatever kind the values are; where it cannot, it concludes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow
from gradflow.probe.differential import moved
from gradflow.record.moving import CannotMoveError, write

VALUES = {
    "floats": torch.randn(3, 2),
    "a constant": torch.full((4, 1), 0.3),
    "a large constant": torch.full((3,), 1e6),
    "one number": torch.tensor(0.25),
    "complex": torch.randn(4, dtype=torch.complex64),
    "conjugated": torch.randn(4, dtype=torch.complex64).conj(),
    "whole numbers": torch.tensor([0, 1, 1]),
    "bytes": torch.tensor([0, 255], dtype=torch.uint8),
    "truth values": torch.tensor([True, False]),
    "half precision": torch.full((5,), 0.1, dtype=torch.bfloat16),
}


@pytest.mark.parametrize("direction", [0, 1, -1])
@pytest.mark.parametrize("kind", VALUES)
def test_every_kind_of_value_is_moved_by_more_than_rounding(kind: str, direction: int) -> None:
    values = VALUES[kind]
    fresh = moved(7, None, direction)("layer", 0, values)
    assert fresh.dtype == values.dtype
    if values.dtype == torch.bool:
        expected = {0: [False, True], 1: [True, True], -1: [False, False]}[direction]
        assert fresh.tolist() == expected
    else:
        assert ((fresh.resolve_conj() - values).abs().double() >= 0.1 * values.abs().double().clamp(max=1)).all()
        assert not torch.equal(fresh, values)


def test_only_the_part_asked_for_is_moved() -> None:
    values = torch.tensor([[1, 2], [3, 4]])
    fresh = moved(7, (0, 1))("layer", 0, values)
    assert (fresh != values).tolist() == [[False, True], [False, False]]


def test_what_has_no_values_cannot_be_moved() -> None:
    with pytest.raises(CannotMoveError):
        moved(7)("layer", 0, torch.ones(2, device="meta"))


@pytest.mark.parametrize(
    "tensor",
    [torch.ones(3, 1).expand(3, 4), torch.arange(6.0).unfold(0, 3, 1), torch.ones(9).as_strided((3, 3), (2, 1))],
    ids=["expanded", "overlapping windows", "overlapping rows"],
)
def test_entries_that_share_memory_are_not_written(tensor: torch.Tensor) -> None:
    before = tensor.clone()
    assert write(tensor, torch.randn(tensor.shape))
    assert torch.equal(tensor, before)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(3, 4).T,
        torch.ones(8, 6)[::2, 1::3],
        torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last),
        torch.arange(6.0).unfold(0, 3, 3),
        torch.ones(0, 3).expand(2, 0, 3),
        torch.ones(3, 1)[:, :1].expand(3, 1),
    ],
    ids=["transposed", "every other", "channels last", "windows side by side", "empty", "not repeated"],
)
def test_entries_of_their_own_are_written(tensor: torch.Tensor) -> None:
    fresh = torch.randn(tensor.shape)
    assert write(tensor, fresh) == ""
    assert torch.equal(tensor, fresh)


class Windows(nn.Module):
    """Rows that overlap in memory, as convolutions written by hand have them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten().unfold(0, 3, 1)


class OverWindows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.windows, self.b = nn.Linear(4, 4), Windows(), nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.tanh(self.windows(self.a(x)))).flatten()


def test_overlapping_windows_are_not_said_to_be_wrong() -> None:
    report = gradflow.check(OverWindows(), "windows", inputs=torch.randn(1, 4), verify=True)
    assert report.verdict == "connected"
    assert [one for one in report.diagnostics if one.severity != "info"] == []


class Scaled(nn.Module):
    """The score is scaled by a number that is read from the layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.a, self.layer, self.b = nn.Linear(4, 4), layer, nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(x) * (float(self.layer(self.a(x)).detach().abs().sum()) + 1)


class Spectrum(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.fft.rfft(x)


class Ranks(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.argsort(-1)[:, :2]


class Signs(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x > 0).int()


@pytest.mark.parametrize("layer", [Spectrum(), Ranks(), Signs(), nn.Tanh()])
def test_a_layer_that_scales_the_score_through_a_number_is_used(layer: nn.Module) -> None:
    assert gradflow.check(Scaled(layer), "layer", inputs=torch.randn(2, 4)).verdict == "broken"


class Pruned(nn.Module):
    """A threshold that is the same in every row decides which weights count."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 4))
        self.threshold = nn.Parameter(torch.full((6, 1), 0.3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = (self.weight.abs() > self.threshold).to(self.weight.dtype)
        return torch.tanh(x @ (self.weight * mask).T)


def test_a_constant_threshold_changes_the_score() -> None:
    torch.manual_seed(0)
    report = gradflow.check(Pruned(), parameter="threshold", inputs=torch.randn(5, 4), score=lambda out: out.sum())
    assert report.verdict == "broken"


class Chooser(nn.Module):
    """The near miss: what is chosen by the parameter is the same either way."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.gate = nn.Parameter(torch.tensor(0.3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.layer(x)
        return torch.where(self.gate > 0, out, out)


def test_a_choice_between_equals_changes_nothing() -> None:
    report = gradflow.check(Chooser(), parameter="gate", inputs=torch.randn(5, 4), score=lambda out: out.sum())
    assert report.verdict == "unused"


class OfABuffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("mean", torch.ones(1).expand(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) * float(self.mean.sum())


def test_a_buffer_that_repeats_its_memory_is_no_mistake_of_ours() -> None:
    model = OfABuffer()
    report = gradflow.check(model, parameter="mean", inputs=torch.randn(2, 4))
    assert report.verdict == "not determined"
    assert any("memory" in reason for reason in report.undetermined)
    assert torch.equal(model.mean, torch.ones(4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.int8, torch.int64])
@pytest.mark.parametrize("direction", [1e30, -1e30])
def test_however_far_values_are_moved_their_type_holds_them(dtype: torch.dtype, direction: float) -> None:
    values = torch.tensor([1, 2, 3], dtype=dtype)
    fresh = moved(7, None, direction)("layer", 0, values)
    assert bool(torch.isfinite(fresh).all())
    assert bool((fresh > values).all() if direction > 0 else (fresh < values).all())


class FarThreshold(nn.Module):
    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.layer, self.threshold = nn.Linear(4, 4), threshold

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        largest = float(self.layer(x).detach().max())
        return x.sum() * (2.0 if largest > self.threshold else 1.0)


@pytest.mark.parametrize("threshold", [1e2, 1e4, 1e8, 1e20])
def test_a_threshold_at_any_distance_is_a_use(threshold: float) -> None:
    report = gradflow.check(FarThreshold(threshold), "layer", inputs=torch.ones(2, 4))
    assert report.verdict == "broken"
    assert [found.code for found in report.diagnostics] == ["GF104"]


class OnlyLogged(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head, self.logged = nn.Linear(4, 4), nn.Linear(4, 2), 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.logged = self.layer(x).mean().item()
        return self.head(x)


def test_a_number_that_is_only_logged_is_no_use_and_what_was_tried_is_told() -> None:
    report = gradflow.check(OnlyLogged(), "layer", inputs=torch.ones(2, 4))
    assert (report.verdict, report.diagnostics[0].code) == ("unused", "GF302")
    assert any("Python reads its values" in note for note in report.diagnostics[0].notes)


def accuracy(scores: torch.Tensor) -> torch.Tensor:
    return (scores.argmax(1) == 0).float().mean()


def test_a_choice_that_plain_noise_changes_is_no_choice_without_effect() -> None:
    torch.manual_seed(25)
    model, x = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), torch.randn(2, 4)
    hidden = model[0](x)
    noisy = [accuracy(model[1:](hidden + 3 * hidden.std() * torch.randn_like(hidden))) for _ in range(300)]
    assert sum(float(one) != float(accuracy(model(x))) for one in noisy) > 60  # so it does change
    report = gradflow.check(model, "0", inputs=x, score=accuracy)
    assert (report.verdict, report.diagnostics[0].code) == ("broken", "GF106")
