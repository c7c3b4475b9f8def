"""No false alarm on networks that other people wrote."""

from __future__ import annotations

import pytest
import torch
import torchvision

import gradflow


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5"])
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_untrained_networks_are_healthy(name: str, training: bool) -> None:
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None).train(training)
    report = gradflow.audit(model, inputs=torch.randn(2, 3, 64, 64))
    assert report.diagnostics == ()
    assert report.exit_code == 0
    assert sum(one.state == "gradient" for one in report.trainable) == len(list(model.parameters()))


def test_a_backbone_behind_a_head_of_zeros_only_waits() -> None:
    torch.manual_seed(0)
    model = torchvision.models.vision_transformer.VisionTransformer(
        image_size=32, patch_size=16, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=4
    ).eval()
    report = gradflow.audit(model, inputs=torch.randn(1, 3, 32, 32))
    (found,) = report.diagnostics
    assert (found.name, found.severity) == ("zero-multiplier", "info")
    assert "`heads.head.weight` is zero" in found.message
    assert report.exit_code == 0
