"""The map is exact: that of captum on healthy networks, and untouched by what later happens to the activation."""

from __future__ import annotations

from types import MethodType
from typing import Any

import numpy
import pytest
import torch
import torchvision
from captum.attr import LayerGradCam
from torch import nn

import gradflow
from gradflow.cam.grad_cam import grad_cam
from gradflow.cam.result import CamResult

TARGET = 7
SIZE = (96, 96)
LAYERS = {
    "resnet18": ("layer4", "layer3.0", "layer2.1.bn2"),
    "vgg11": ("features.19", "features.18", "features.8"),
    "densenet121": ("features", "features.denseblock4", "features.denseblock2.denselayer3.conv2"),
    "mobilenet_v3_small": ("features", "features.11", "features.4.block.1"),
    "efficientnet_b0": ("features", "features.7", "features.5.1.block.1"),
    "convnext_tiny": ("features", "features.7.2", "features.5"),
    "regnet_y_400mf": ("trunk_output", "trunk_output.block3"),
    "shufflenet_v2_x0_5": ("conv5", "stage3"),
    "squeezenet1_1": ("features", "features.12.expand3x3"),
}


def make_model(name: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = torchvision.models.get_model(name, weights=None)
    return model.eval()


def make_input(batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def total_score(output: torch.Tensor) -> torch.Tensor:
    return output[:, TARGET].sum()


def cams(model: nn.Module, layers: list[str], x: torch.Tensor) -> dict[str, CamResult]:
    """The maps of several layers from one check, each sample's for its own score."""
    report = gradflow.check(model, layers, inputs=x, score=total_score, cam=True)
    found = {each.target.name: each.cam for each in report.reports}
    assert [layer for layer in layers if found[layer] is None] == [], "every path of a healthy network is connected"
    return {layer: cam for layer, cam in found.items() if cam is not None}


def scaled(value: numpy.ndarray) -> numpy.ndarray:
    low, high = value.min((1, 2), keepdims=True), value.max((1, 2), keepdims=True)
    result: numpy.ndarray = (value - low) / numpy.where(high > low, high - low, 1.0)
    return result


@pytest.mark.parametrize("name", LAYERS)
def test_it_equals_captum(name: str) -> None:
    model, x = make_model(name), make_input(2)
    for layer in LAYERS[name]:
        cam = cams(model, [layer], x)[layer]
        reference = LayerGradCam(model, model.get_submodule(layer)).attribute(x, TARGET, relu_attributions=True)
        expected = reference.detach().squeeze(1).numpy()
        assert expected.max() > 0, f"{layer}: a reference of zeros would prove nothing"
        numpy.testing.assert_allclose(cam.saliency, expected, rtol=1e-5, atol=1e-5 * expected.max(), err_msg=layer)
        numpy.testing.assert_allclose(cam.normalised, scaled(expected), atol=1e-5, err_msg=layer)


def out_of_place(block: Any, x: torch.Tensor) -> torch.Tensor:
    """BasicBlock.forward without ``+=``."""
    out: torch.Tensor = block.bn2(block.conv2(block.relu(block.bn1(block.conv1(x)))))
    identity = x if block.downsample is None else block.downsample(x)
    result: torch.Tensor = block.relu(out + identity)
    return result


def twin_without_in_place_operations(name: str) -> nn.Module:
    twin = make_model(name)
    for module in twin.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
        if isinstance(module, torchvision.models.resnet.BasicBlock):
            module.forward = MethodType(out_of_place, module)
    return twin


def plain_cams(model: nn.Module, layers: list[str], x: torch.Tensor) -> dict[str, CamResult]:
    """With nothing but hooks that look: right only where nothing is changed in place."""
    seen: dict[str, torch.Tensor] = {}
    handles = [
        model.get_submodule(layer).register_forward_hook(
            lambda module, inputs, output, layer=layer: seen.update({layer: output})
        )
        for layer in layers
    ]
    score = total_score(model(x))
    for handle in handles:
        handle.remove()
    gradients = torch.autograd.grad(score, [seen[layer] for layer in layers])
    return {
        layer: grad_cam(seen[layer], gradient, layer=layer, target=TARGET, input_size=SIZE)
        for layer, gradient in zip(layers, gradients, strict=True)
    }


def test_in_place_operations_change_no_map() -> None:
    """Every convolution, normalisation and block of ResNet-18, against the same network written out of place."""
    model, x = make_model("resnet18"), make_input()
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.Sequential, torchvision.models.resnet.BasicBlock)
    layers = [name for name, module in model.named_modules() if isinstance(module, kinds)]
    assert len(layers) == 20 + 20 + 7 + 8
    expected = plain_cams(twin_without_in_place_operations("resnet18"), layers, x)
    together = cams(model, layers, x)
    for layer in layers:
        reference = expected[layer].saliency
        assert reference.max() > 0, layer
        tolerance = 1e-5 * reference.max()
        numpy.testing.assert_allclose(together[layer].saliency, reference, atol=tolerance, err_msg=layer)
        alone = cams(model, [layer], x)[layer]
        numpy.testing.assert_allclose(alone.saliency, reference, atol=tolerance, err_msg=f"{layer} alone")


def test_the_twin_is_needed() -> None:
    """Hooks that only look are wrong on the network as torchvision writes it: the test above can fail."""
    model, x = make_model("resnet18"), make_input()
    layers = ["layer4.1.bn1"]
    expected = plain_cams(twin_without_in_place_operations("resnet18"), layers, x)["layer4.1.bn1"].saliency
    assert abs(plain_cams(model, layers, x)["layer4.1.bn1"].saliency - expected).max() > 0.01 * expected.max()
