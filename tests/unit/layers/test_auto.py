"""``--layer auto`` takes the last layer that still has places, by shapes and order alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from gradflow.errors import ModelRaisedError, UsageError
from gradflow.layers.auto import choose_layer
from gradflow.load.workload import Objective, Workload
from gradflow.record.layer_pass import run_modules


def workload_of(model: nn.Module, *inputs: Any, **facts: Any) -> Workload:
    def compute(output: Any) -> tuple[torch.Tensor, str, int | None]:
        raise AssertionError("the score is not needed to choose a layer")

    return Workload(
        model=model.eval(), model_name="model", inputs=inputs, objective=Objective(compute=compute), **facts
    )


def chosen(workload: Workload) -> tuple[str, str]:
    return choose_layer(workload, run_modules(workload))


def choice(model: nn.Module, *inputs: Any) -> str:
    return chosen(workload_of(model, *inputs))[0]


def convolution(depth: int, out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(depth, out, 3, stride=stride, padding=1)


PICTURES = torch.zeros(2, 3, 32, 32)


class Residual(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.conv = convolution(depth, depth)
        self.drop = nn.Dropout()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.drop(self.conv(x))
        out += x
        return out


class Classifier(nn.Module):
    def __init__(self, trunk: nn.Module, depth: int, class_count: int = 5) -> None:
        super().__init__()
        self.trunk = trunk
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(depth, class_count)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.pool(self.trunk(x)).flatten(1))


def test_the_outermost_module_with_the_last_map() -> None:
    trunk = nn.Sequential(convolution(3, 8, 2), nn.ReLU(), nn.Sequential(convolution(8, 8, 2), Residual(8)))
    model = Classifier(trunk, 8)
    name, reason = chosen(workload_of(model, PICTURES))
    assert name == "trunk"
    assert "[2, 8, 8, 8]" in reason


def test_what_only_pools_or_drops_at_the_end_is_passed_over() -> None:
    trunk = nn.Sequential(convolution(3, 8), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(), nn.Identity())
    assert choice(Classifier(trunk, 8), PICTURES) == "trunk.1"


def test_a_sum_into_the_result_of_a_dropout_is_no_dropout() -> None:
    assert choice(Classifier(nn.Sequential(convolution(3, 8), Residual(8)), 8), PICTURES) == "trunk"


def test_maps_of_one_place_are_none() -> None:
    trunk = nn.Sequential(convolution(3, 8, 2), nn.Conv2d(8, 16, 16))
    assert choice(Classifier(trunk, 16), PICTURES) == "trunk.0"


def test_a_map_that_is_the_score_itself_is_not_taken() -> None:
    """As in SqueezeNet: the last convolution makes one map per class, which are only averaged."""
    model = nn.Sequential(convolution(3, 8), nn.ReLU(), nn.Conv2d(8, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert choice(model, PICTURES) == "1"


def test_a_wrapped_model() -> None:
    model = nn.Sequential()
    model.add_module("module", Classifier(nn.Sequential(convolution(3, 8), nn.ReLU()), 8))
    assert choice(model, PICTURES) == "module.trunk"


def test_a_layer_that_runs_twice_is_passed_over() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = convolution(3, 3)
            self.shared = convolution(3, 3)
            self.fc = nn.Linear(3, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.shared(self.shared(self.first(x))).mean((2, 3)))

    assert choice(Twice(), PICTURES) == "first"


def test_channels_last_maps_count() -> None:
    class ChannelsLast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Conv2d(3, 24, 4, stride=4)
            self.norm = nn.LayerNorm(24)
            self.head = nn.Linear(24, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.norm(self.embed(x).permute(0, 2, 3, 1)).mean((1, 2)))

    assert choice(ChannelsLast(), PICTURES) == "norm"


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(12)
        self.attention = nn.MultiheadAttention(12, 2, batch_first=True)
        self.norm2 = nn.LayerNorm(12)
        self.mlp = nn.Linear(12, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    def __init__(self, *, has_class_token: bool) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 12, 8, stride=8)
        self.blocks = nn.Sequential(Block(), Block())
        self.norm = nn.LayerNorm(12)
        self.head = nn.Linear(12, 5)
        self.token = nn.Parameter(torch.zeros(1, 1, 12)) if has_class_token else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        if self.token is not None:
            tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1)
        tokens = self.norm(self.blocks(tokens))
        return self.head(tokens.mean(1) if self.token is None else tokens[:, 0])


def test_of_a_transformer_with_a_class_token_what_the_last_attention_reads() -> None:
    model = Transformer(has_class_token=True)
    name, reason = chosen(workload_of(model, PICTURES))
    assert name == "blocks.1.norm1"
    assert "class token" in reason
    assert patch_gradient(model, name) > 0.0
    assert patch_gradient(model, "norm") == 0.0, "the reason would not be true"


def test_an_attention_is_known_by_its_name_too() -> None:
    class MHSA(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(12, 36)

        def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, **_: bool) -> tuple[torch.Tensor]:
            q, k, v = self.qkv(q).chunk(3, -1)
            return ((q @ k.mT).softmax(-1) @ v,)

    model = Transformer(has_class_token=True)
    for block in model.blocks:
        block.attention = MHSA()
    assert choice(model, PICTURES) == "blocks.1.norm1"


def test_of_a_transformer_that_averages_its_patches_the_last_layer() -> None:
    assert choice(Transformer(has_class_token=False), PICTURES) == "norm"


def patch_gradient(model: nn.Module, layer: str) -> float:
    seen: list[torch.Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda module, inputs, output: seen.append(output))
    score = model(torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)))[0, 0]
    handle.remove()
    (gradient,) = torch.autograd.grad(score, seen)
    return float(gradient[:, 1:].abs().sum())


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1 = convolution(3, 8)
        self.down2 = convolution(8, 16, 2)
        self.up = convolution(24, 8)
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fine = self.down1(x)
        coarse = functional.interpolate(self.down2(fine), scale_factor=2.0)
        return self.head(self.up(torch.cat([fine, coarse], 1)))


def test_of_a_segmentation_network_the_bottleneck() -> None:
    name, reason = chosen(workload_of(UNet(), PICTURES))
    assert name == "down2"
    assert "coarsest" in reason


class Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fine = convolution(3, 8, 2)
        self.coarse = convolution(8, 8, 2)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        fine = self.fine(x)
        return {"0": fine, "1": self.coarse(fine)}


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lateral = convolution(8, 8)

    def forward(self, maps: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        up = functional.interpolate(maps["1"], scale_factor=2.0)
        return {"0": self.lateral(maps["0"]) + up, "1": maps["1"]}


class Detector(nn.Module):
    def __init__(self, *, mixes: bool) -> None:
        super().__init__()
        self.body = Body()
        self.mixer = Mixer() if mixes else None
        self.head = convolution(8, 6)

    def forward(self, pictures: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        maps = self.body(torch.stack(pictures))
        if self.mixer is not None:
            maps = self.mixer(maps)
        scores = torch.cat([self.head(value).flatten(1) for value in maps.values()], 1)
        return [{"boxes": row[:12].view(-1, 4), "scores": row[:3]} for row in scores]


@pytest.mark.parametrize(("mixes", "layer"), [(True, "body.coarse"), (False, "body.fine")])
def test_of_a_detector_what_every_level_rests_on(mixes: bool, layer: str) -> None:
    assert choice(Detector(mixes=mixes), [torch.zeros(3, 32, 32)] * 2) == layer


def test_without_a_feature_map_the_last_hidden_layer() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3))
    name, reason = chosen(workload_of(model, torch.zeros(2, 4)))
    assert name == "1"
    assert "no layer's output has height and width" in reason
    assert "output layer `3`" in reason


def test_of_a_recurrent_network_the_recurrent_layer() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(10, 4)
            self.lstm = nn.LSTM(4, 6, batch_first=True)
            self.fc = nn.Linear(6, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.lstm(self.embed(x))[0][:, -1])

    assert choice(Recurrent(), torch.zeros(2, 16, dtype=torch.int64)) == "lstm"


def test_text_of_a_square_number_of_tokens_is_no_picture() -> None:
    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(10, 12)
            self.block = Block()
            self.head = nn.Linear(12, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.block(self.embed(x)).mean(1))

    _, reason = chosen(workload_of(Text(), torch.zeros(2, 16, dtype=torch.int64)))
    assert "no layer's output has height and width" in reason


class Heads(nn.Module):
    """Attention heads make a tensor with four axes, without any place in it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 12)
        self.norm = nn.LayerNorm(6)
        self.mix = nn.Linear(12, 12)
        self.head = nn.Linear(12, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = self.norm(self.embed(x).unflatten(2, (2, 6)))
        return self.head(self.mix(heads.flatten(2)).mean(1))


def test_heads_of_a_text_model_are_no_map() -> None:
    assert choice(Heads(), torch.zeros(2, 16, dtype=torch.int64)) == "mix"


class Encoder(nn.Module):
    """Returns its tokens, and what it made of them; only the second is read by those who classify."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 12)
        self.pooler = nn.Linear(12, 12)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = self.embed(x)
        return tokens, self.pooler(tokens[:, 0])


def test_a_module_of_modules_with_several_outputs_is_passed_over() -> None:
    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = Encoder()
            self.head = nn.Linear(12, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.encoder(x)[1])

    assert choice(Text(), torch.zeros(2, 16, dtype=torch.int64)) == "encoder.pooler"


def test_of_a_detector_with_a_frozen_beginning_what_still_gets_a_gradient() -> None:
    model = Detector(mixes=False)
    model.body.fine.requires_grad_(False)
    assert choice(model, [torch.zeros(3, 32, 32)] * 2) == "body.coarse"


def test_a_single_layer_is_all_there_is() -> None:
    assert choice(nn.Sequential(nn.Linear(4, 2)), torch.zeros(1, 4)) == "0"
    assert choice(nn.Linear(4, 2), torch.zeros(1, 4)) == ""


def test_a_model_that_raises() -> None:
    with pytest.raises(ModelRaisedError, match="RuntimeError"):
        choice(Classifier(convolution(4, 8), 8), PICTURES)


def test_a_model_that_cannot_be_entered() -> None:
    workload = workload_of(
        nn.Linear(1, 1), torch.zeros(1, 1), can_enter=False, limits=("hooks cannot enter TorchScript",)
    )
    with pytest.raises(UsageError, match="hooks cannot enter TorchScript"):
        chosen(workload)
