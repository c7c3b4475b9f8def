"""Suites that published models would have, and mistakes that "every gradient is not None" has let through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from gradflow.testing import (
    GradientAssertionError,
    assert_all_parameters_learn,
    assert_connected,
    assert_no_batch_leakage,
    assert_skip_carries_gradient,
)

SMALL = (2, 3, 64, 64)
# name, how it is built, input, a layer, a block with a skip or None
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str, str | None]] = {
    "resnet18": (torchvision.models.resnet18, SMALL, "layer4", "layer2.1"),
    "densenet121": (torchvision.models.densenet121, SMALL, "features", None),
    "mobilenet_v3_small": (torchvision.models.mobilenet_v3_small, SMALL, "features", "features.3"),
    "squeezenet1_1": (torchvision.models.squeezenet1_1, SMALL, "features", None),
    "regnet_y_400mf": (torchvision.models.regnet_y_400mf, SMALL, "trunk_output", "trunk_output.block1.block1-0"),
    "timm resnet10t": (lambda: timm.create_model("resnet10t"), SMALL, "layer4", "layer1.0"),
    "timm convnext_atto": (lambda: timm.create_model("convnext_atto"), SMALL, "stages.3", "stages.0.blocks.0"),
    "timm vit_tiny_patch16_224": (
        lambda: timm.create_model("vit_tiny_patch16_224", img_size=64),
        SMALL,
        "norm",
        "blocks.3",
    ),
    "timm efficientnet_lite0": (lambda: timm.create_model("efficientnet_lite0"), SMALL, "blocks", "blocks.1.1"),
}


@pytest.mark.parametrize("name", MODELS)
def test_published_models_pass(name: str) -> None:
    build, shape, layer, block = MODELS[name]
    torch.manual_seed(0)
    model, images = build(), torch.randn(shape)
    assert_connected(model, layer, images)
    assert_all_parameters_learn(model, images)
    if block is not None:
        assert_skip_carries_gradient(model, block, images, at_least=0.001)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_transformers_pass(family: str) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    if family == "bert":
        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
        model = transformers.BertModel(transformers.BertConfig(vocab_size=30, **sizes))
        last, block = "encoder.layer.1", "encoder.layer.1"
    else:
        model = transformers.GPT2Model(transformers.GPT2Config(vocab_size=30, n_embd=16, n_layer=2, n_head=2))
        last, block = "h.1", "h.1"
    tokens = {"input_ids": torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])}
    assert_connected(model, last, tokens)
    assert_all_parameters_learn(model, tokens)
    assert_skip_carries_gradient(model, block, tokens)
    assert_no_batch_leakage(model.eval(), tokens, output="last_hidden_state")


class Detector(nn.Module):
    """A one-to-one head beside the usual one, whose input is detached (as ultralytics' ``Detect`` for YOLO26)."""

    def __init__(self) -> None:
        super().__init__()
        self.neck = nn.Conv2d(3, 8, 3)
        self.one_to_many = nn.Conv2d(8, 6, 1)
        self.one_to_one = nn.Conv2d(8, 6, 1)

    def forward(self, images: Tensor) -> Tensor:
        features = self.neck(images).relu()
        first = self.one_to_many(features)
        second = self.one_to_one(features.detach())
        return first + second


class DetachedSkip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(6, 6)
        self.inner = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return x.detach() + self.inner(x).tanh()


class DiscardedBlock(nn.Module):
    """A block runs, and what it returns is read only for its shape and a vanishing share."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(6, 6)
        self.block = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        refined = self.block(x)
        return self.head(x) + 0.0 * refined.sum()


IMAGES, VECTORS = torch.ones(1, 3, 8, 8), torch.linspace(-1, 1, 12).reshape(2, 6)
MISTAKES: list[tuple[type[nn.Module], Tensor, Callable[[nn.Module, Tensor], object], str, str]] = [
    (Detector, IMAGES, lambda model, x: assert_connected(model, "neck", x), "GF401", "features.detach()"),
    (
        DetachedSkip,
        VECTORS,
        lambda model, x: assert_skip_carries_gradient(model, "", x),
        "GF401",
        "x.detach() + self.inner",
    ),
    (DiscardedBlock, VECTORS, lambda model, x: assert_connected(model, "block", x), "GF405", "0.0 * refined"),
]


@pytest.mark.parametrize(("kind", "inputs", "check", "code", "line"), MISTAKES)
def test_not_none_and_yet_wrong(
    kind: type[nn.Module], inputs: Tensor, check: Callable[[nn.Module, Tensor], object], code: str, line: str
) -> None:
    torch.manual_seed(0)
    model = kind()
    model(inputs).square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    with pytest.raises(GradientAssertionError) as caught:
        check(model, inputs)
    diagnostic = caught.value.diagnostic
    assert diagnostic is not None
    assert diagnostic.code == code
    assert diagnostic.location is not None
    assert diagnostic.location.path == __file__
    source = Path(__file__).read_text(encoding="utf-8").splitlines()
    assert line in source[diagnostic.location.line - 1]
