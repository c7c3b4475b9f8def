"""Models of the real libraries survive being saved, and are loaded back without running anything from the file."""

from __future__ import annotations

import pytest
import torch

from gradflow.load.loading import load_workload
from gradflow.load.request import Request

torchvision = pytest.importorskip("torchvision")

TORCHVISION = ("vit_b_32", "convnext_tiny", "swin_t", "regnet_x_400mf", "densenet121", "raft_small")
TIMM = ("deit_tiny_patch16_224", "mobilevit_xxs", "coat_tiny", "resnet18d", "nf_resnet26")


def built(name):
    if name.startswith("timm:"):
        return pytest.importorskip("timm").create_model(name.removeprefix("timm:"))
    return torchvision.models.get_model(name)


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(first, second) for first, second in pairs)


@pytest.mark.parametrize("name", [*TORCHVISION, *(f"timm:{name}" for name in TIMM)])
def test_a_whole_model_needs_no_trust(name, tmp_path):
    model = built(name)
    torch.save(model, tmp_path / "model.pt")
    loaded = load_workload(Request(model=str(tmp_path / "model.pt"))).model
    assert type(loaded) is type(model)
    assert same(loaded, model)


@pytest.mark.parametrize("name", ["squeezenet1_1", "timm:mobilevit_xxs"])
def test_weights_go_into_a_model_built_by_name(name, tmp_path):
    model = built(name)
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    torch.save({"epoch": 1, "state_dict": state}, tmp_path / "checkpoint.pth")
    workload = load_workload(Request(model=str(tmp_path / "checkpoint.pth"), arch=name))
    assert same(workload.model, model)
    assert not workload.model.training
    assert any("prefix `module.` taken off" in text for text in workload.assumptions)
    assert not any("random initialisation" in text for text in workload.assumptions)
