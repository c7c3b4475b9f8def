"""``--layer auto`` on torchvision's networks: the layer that people name by hand, from shapes and order alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision

from gradflow.layers.auto import choose_layer
from gradflow.load.workload import Objective, Workload
from gradflow.record.layer_pass import run_modules

CHOICES = {
    "resnet18": "layer4",
    "vgg11": "features.19",
    "alexnet": "features.11",
    "densenet121": "features",
    "mobilenet_v3_small": "features",
    "efficientnet_b0": "features",
    "convnext_tiny": "features",
    "regnet_y_400mf": "trunk_output",
    "shufflenet_v2_x0_5": "conv5",
    "squeezenet1_0": "features",
    "mnasnet0_5": "layers",
    "vit_b_16": "encoder.layers.encoder_layer_11.ln_1",
    "swin_t": "norm",
    "fcn_resnet50": "backbone.layer4",
    "deeplabv3_mobilenet_v3_large": "backbone.16",
    "lraspp_mobilenet_v3_large": "backbone.16",
    "fasterrcnn_mobilenet_v3_large_320_fpn": "backbone.body.16",
    "ssdlite320_mobilenet_v3_large": "backbone.features.0",
    "r3d_18": "layer4",
}
DETECTORS = {"fasterrcnn_mobilenet_v3_large_320_fpn", "ssdlite320_mobilenet_v3_large"}
SEGMENTERS = {"fcn_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"}


def never_scored(output: object) -> tuple[torch.Tensor, str, int | None]:
    raise AssertionError("the score is not needed to choose a layer")


@pytest.mark.parametrize("name", CHOICES)
def test_the_layer_that_people_name_by_hand(name: str) -> None:
    options: dict[str, Any] = {"weights_backbone": None} if name in DETECTORS | SEGMENTERS else {}
    if name == "vit_b_16":
        options["image_size"] = 64
    pictures = torch.zeros(2, 3, 64, 64)
    inputs: tuple[Any, ...] = (pictures,)
    if name in DETECTORS:
        inputs = (list(pictures),)
    elif name == "r3d_18":
        inputs = (torch.zeros(1, 3, 4, 64, 64),)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torchvision.models.get_model(name, weights=None, **options).eval()
    workload = Workload(model=model, model_name=name, inputs=inputs, objective=Objective(compute=never_scored))
    assert choose_layer(workload, run_modules(workload))[0] == CHOICES[name]
