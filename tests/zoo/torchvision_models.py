"""Every model that torchvision builds, with the smallest input it accepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torchvision
from torch import nn

from tests.zoo.case import SEED, Case, SumOfOutput


def model_names() -> list[str]:
    """Names of all models, the quantized ones aside: their integer weights have no gradient."""
    return [name for name in torchvision.models.list_models() if not name.startswith("quantized_")]


def build(name: str) -> Case:
    """A model by its torchvision name; the same weights and input every time."""
    family = torchvision.models.get_model_builder(name).__module__.removeprefix("torchvision.models.")
    torch.manual_seed(SEED)
    options, make_inputs, wrap = _recipe(name, family)
    model = torchvision.models.get_model(name, weights=None, **options)
    if family == "vision_transformer":
        nn.init.normal_(model.heads.head.weight, std=0.02)  # zeros, as built, would let no gradient through
    return Case(name=name, family=family, model=wrap(model).eval(), inputs=make_inputs())


def _image(size: int) -> Callable[[], tuple[Any, ...]]:
    return lambda: (torch.randn(1, 3, size, size),)


def _recipe(name: str, family: str) -> tuple[dict[str, Any], Callable[[], tuple[Any, ...]], Callable[..., nn.Module]]:
    """Options of the builder, maker of the inputs, and wrapper of the model."""
    kind = family.partition(".")[0]
    match kind:
        case "segmentation":
            return {"weights_backbone": None}, _image(64), SumOfOutput
        case "detection":
            return _detection(name)
        case "video":
            return _video(name)
        case "optical_flow":
            return {}, lambda: (torch.rand(1, 3, 128, 128) * 2 - 1, torch.rand(1, 3, 128, 128) * 2 - 1), SumOfOutput
        case _:
            return _classification(name, kind)


def _classification(
    name: str, kind: str
) -> tuple[dict[str, Any], Callable[[], tuple[Any, ...]], Callable[..., nn.Module]]:
    options: dict[str, Any] = {}
    size = 64
    if kind == "vision_transformer":
        size = 56 if name.endswith("14") else 64
        options["image_size"] = size
    elif kind == "maxvit":
        size = 224  # its windows are seven cells wide in each of four stages
    elif kind == "inception":
        size = 96
        options["init_weights"] = False
    elif kind == "googlenet":
        options["init_weights"] = False
    return options, _image(size), lambda model: model


def _detection(name: str) -> tuple[dict[str, Any], Callable[[], tuple[Any, ...]], Callable[..., nn.Module]]:
    options: dict[str, Any] = {"weights_backbone": None}
    if name.startswith(("ssd", "retinanet", "fcos")):
        # random weights are never sure of anything
        options |= {"score_thresh": 0.0, "detections_per_img": 5}
    else:
        options |= {"box_score_thresh": 0.0, "box_detections_per_img": 5}
        # a thousand proposals on a small picture would cost far more than the rest of the model
        options |= {"rpn_pre_nms_top_n_test": 50, "rpn_post_nms_top_n_test": 20}
    if not name.startswith("ssd"):
        options |= {"min_size": 96, "max_size": 96}
    return options, lambda: ([torch.rand(3, 96, 96)],), SumOfOutput


def _video(name: str) -> tuple[dict[str, Any], Callable[[], tuple[Any, ...]], Callable[..., nn.Module]]:
    # these two kinds accept no other size
    frames, size = (16, 224) if name.startswith(("mvit", "s3d")) else (8, 64)
    return {}, lambda: (torch.randn(1, 3, frames, size, size),), lambda model: model
