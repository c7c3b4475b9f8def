"""What ended a gradient is told from what was measured there, not from the first cause that looks alike."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import gradflow


def names(model: nn.Module, layer: str, inputs: Tensor) -> list[str]:
    report = gradflow.check(model, layer, inputs=inputs, target=0)
    assert report.verdict == "zero"
    return [found.name for found in report.diagnostics if found.severity == "error"]


def test_a_normalisation_with_zero_weights_over_one_place_is_no_constant_score() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)
            self.norm = nn.BatchNorm2d(4)
            self.head = nn.Linear(4, 2)
            nn.init.zeros_(self.norm.weight)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.norm(self.conv(x)).flatten(1))

    assert names(Block().eval(), "conv", torch.ones(1, 3, 1, 1)) == ["zero-multiplier"]


def test_a_gradient_that_is_too_small_is_not_taken_for_saturation() -> None:
    class Faint(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return functional.silu(self.body(x)) * 1.4e-45

    model = Faint()
    nn.init.zeros_(model.body.weight)
    nn.init.constant_(model.body.bias, -1.0)  # silu's slope is 0.07 there
    assert names(model, "body", torch.ones(1, 3)) == ["precision-underflow"]


class OneLinear(nn.Module):
    """A layer, and a score that the test gives."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def found(score: Callable[[Tensor], Tensor], inputs: Tensor) -> list[tuple[str, int]]:
    """Names and lines (counted from that of ``score``) of the errors."""
    report = gradflow.check(OneLinear(), "body", inputs=inputs, score=score)
    assert report.verdict == "zero"
    first = score.__code__.co_firstlineno
    errors = [one for one in report.diagnostics if one.severity == "error"]
    return [(one.name, one.location.line - first if one.location else -1) for one in errors]


def test_a_softmax_over_one_entry_is_a_constant_and_not_saturated() -> None:
    def contrast(output: Tensor) -> Tensor:
        return functional.cross_entropy(output @ output.t(), torch.arange(len(output)))

    assert found(contrast, torch.rand(1, 4)) == [("constant-score", 1)]


def test_a_softmax_along_another_dimension_of_one_entry() -> None:
    def share(output: Tensor) -> Tensor:
        return output.softmax(0)[0, 2]

    assert found(share, torch.rand(1, 4)) == [("constant-score", 1)]


def test_a_sure_softmax_is_saturated_and_no_constant() -> None:
    def sure(output: Tensor) -> Tensor:
        return (output * 1e4).softmax(-1)[0].max()

    assert found(sure, torch.rand(1, 4)) == [("saturation", 1)]


@pytest.mark.parametrize("ignored", [-100, 2])
def test_a_loss_that_ignores_every_label(ignored: int) -> None:
    def loss(output: Tensor) -> Tensor:
        return functional.cross_entropy(output, torch.full((2,), ignored), ignore_index=ignored, reduction="sum")

    assert found(loss, torch.rand(2, 4)) == [("zero-multiplier", 1)]


def test_random_draws_are_told_from_rounding() -> None:
    def drawn(output: Tensor) -> Tensor:
        return torch.normal(output, 1.0).sum()

    report = gradflow.check(OneLinear(), "body", inputs=torch.rand(2, 4), score=drawn)
    assert [one.name for one in report.diagnostics] == ["zero-derivative-op"]
    assert "randn_like" in report.diagnostics[0].helps[0].text


def test_zeros_that_a_bound_made_are_put_down_to_the_bound() -> None:
    def overlap(output: Tensor) -> Tensor:
        side = (output.sigmoid() - 5.0).clamp(min=0)
        inter = side[:, 0] * side[:, 1]
        return (inter / (output.sigmoid().sum() - inter)).sum()

    assert found(overlap, torch.rand(1, 4)) == [("saturation", 1)]


def test_zeros_of_another_factor_are_not_put_down_to_a_relu_beside_it() -> None:
    gate = torch.zeros(4)

    def gated(output: Tensor) -> Tensor:
        features = (output.abs() + 1.0).relu()
        return (features * (features * gate)).sum()

    assert {name for name, _ in found(gated, torch.rand(1, 4))} == {"zero-multiplier"}


class Spread(nn.Module):
    """A score made of the spread of what a layer gives, which is the same for all samples where ``is_equal``."""

    def __init__(self, measure, is_equal: bool) -> None:
        super().__init__()
        self.body, self.measure = nn.Linear(4, 3), measure
        if is_equal:
            nn.init.zeros_(self.body.weight)

    def forward(self, x):
        return self.measure(self.body(x)).sum()


@pytest.mark.parametrize("name", ["std", "var"])
@pytest.mark.parametrize("dimensions", [(0,), (-2,), (0, 1)])
def test_a_spread_of_equal_values_is_no_constant(name: str, dimensions: tuple[int, ...]) -> None:
    model = Spread(lambda h: getattr(h - h.detach(), name)(dimensions), is_equal=False)
    (found,) = (
        one for one in gradflow.check(model, "body", inputs=torch.randn(5, 4)).diagnostics if "it dies" in one.message
    )
    assert found.name == "saturation"
    assert "equal" in found.label
    assert "constant" not in " ".join(found.notes)


def test_a_spread_of_values_that_differ_gets_a_gradient() -> None:
    report = gradflow.check(Spread(lambda h: h.std(0), is_equal=False), "body", inputs=torch.randn(5, 4))
    assert report.verdict == "connected"


def test_a_layer_without_weights_gives_a_spread_of_equal_values() -> None:
    report = gradflow.check(Spread(lambda h: h.std(0), is_equal=True), "body", inputs=torch.randn(5, 4))
    (found,) = report.diagnostics
    assert (report.verdict, found.name) == ("zero", "saturation")


def test_places_that_a_triangle_leaves_out_have_no_slope_of_zero() -> None:
    report = gradflow.check(OneLinear(), "body", inputs=torch.ones(2, 4), score=lambda y: y.triu(1)[1, 0])
    found = report.diagnostics[0]
    assert (report.verdict, found.code) == ("zero", "GF303")
    assert not any("slope" in note for note in found.notes)


def test_a_function_of_single_numbers_that_is_flat_here_has_one() -> None:
    class Flat(OneLinear):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.i0(self.body(x) - self.body(x).detach())

    report = gradflow.check(Flat(), "body", inputs=torch.ones(2, 4), target=0)
    assert [found.code for found in report.diagnostics if found.severity == "error"] == ["GF403"]


class Filled(nn.Module):
    """What is seen, put beside a learned filler; the loss is of one of the two, by a mask or by an index."""

    def __init__(self, of_seen: bool, by: str) -> None:
        super().__init__()
        self.body, self.filler, self.head = nn.Linear(4, 4), nn.Parameter(torch.ones(1, 2, 4)), nn.Linear(4, 3)
        self.of_seen, self.by = of_seen, by

    def forward(self, x: Tensor) -> Tensor:
        whole = torch.cat([self.body(x), self.filler.expand(len(x), -1, -1)], 1)
        kept = torch.arange(4) < 2 if self.of_seen else torch.arange(4) >= 2
        errors = self.head(whole).square().mean(-1)
        return (errors * kept).sum() if self.by == "mask" else errors[:, 2:].sum()


@pytest.mark.parametrize("by", ["mask", "index"])
def test_where_positions_are_put_together_none_is_said_to_be_dropped(by: str) -> None:
    torch.manual_seed(0)
    model, x = Filled(False, by), torch.randn(3, 2, 4)
    report = gradflow.check(model, "body", inputs=x)
    (found,) = report.diagnostics
    assert (report.verdict, found.name) == ("zero", "position-not-read")
    assert not any("`cat` hands on other" in text for text in (found.message, *found.notes))
    assert ("`cat` hands on every position" in found.notes[0]) == (by == "mask")


def test_where_these_positions_are_read_nothing_is_said() -> None:
    torch.manual_seed(0)
    assert gradflow.check(Filled(True, "mask"), "body", inputs=torch.randn(3, 2, 4)).verdict == "connected"


class Masked(nn.Module):
    """``mask`` scales what the body gives, one row for each sample."""

    def __init__(self, mask: list[float]) -> None:
        super().__init__()
        self.body, self.mask = nn.Linear(3, 4), torch.tensor(mask)[:, None]

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) * self.mask


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        ([0.0, 1.0], "the other factor of `mul` is zero where a gradient comes in"),
        ([0.0, 0.0], "the other factor of `mul` is zero, and"),
    ],
)
def test_a_factor_is_called_zero_where_it_was_seen_to_be(mask: list[float], said: str) -> None:
    report = gradflow.check(Masked(mask), "body", inputs=torch.ones(2, 3), score=lambda output: output[0].sum())
    (found,) = report.diagnostics
    assert found.name == "zero-multiplier"
    assert found.notes[0].startswith(said)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(self.query(x), self.key(x), self.value(x)).sum(1)


def test_a_single_key_has_the_weight_one_whatever_it_is() -> None:
    torch.manual_seed(0)
    assert names(Attention(), "key", torch.randn(1, 1, 4)) == ["constant-score"]


def test_a_zero_query_scales_the_gradient_of_several_keys() -> None:
    model = Attention()
    for parameter in model.query.parameters():
        nn.init.zeros_(parameter)
    assert names(model, "key", torch.randn(1, 3, 4)) == ["zero-multiplier"]


def test_what_is_normalised_by_itself_is_not_told_as_a_softmax_alone() -> None:
    model = nn.Sequential(nn.Linear(4, 1), nn.LayerNorm(1), nn.Linear(1, 2))
    report = gradflow.check(model, "0", inputs=torch.randn(1, 4), target=0)
    (found,) = report.diagnostics
    assert found.name == "constant-score"
    assert "a value normalised by itself" in found.notes[0]
