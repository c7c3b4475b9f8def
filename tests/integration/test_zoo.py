"""One model of each family of torchvision: the verdict is autograd's own, and nothing healthy is called broken.

All models, as one command: `python -m tests.zoo`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("torchvision", exc_type=(ImportError, RuntimeError))
sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.zoo.comparison import compare
from tests.zoo.models import build, model_names
from tests.zoo.reference import called_layers, gradient_status, spread

ONE_OF_EACH_FAMILY = """
    alexnet convnext_tiny deeplabv3_mobilenet_v3_large densenet121 efficientnet_b0 fasterrcnn_mobilenet_v3_large_320_fpn
    fcn_resnet50 fcos_resnet50_fpn googlenet inception_v3 keypointrcnn_resnet50_fpn lraspp_mobilenet_v3_large
    maskrcnn_resnet50_fpn maxvit_t mnasnet0_5 mobilenet_v2 mobilenet_v3_small r3d_18 raft_small regnet_y_400mf resnet18
    retinanet_resnet50_fpn shufflenet_v2_x0_5 squeezenet1_1 ssdlite320_mobilenet_v3_large swin3d_t swin_t swin_v2_t
    vgg11 vit_b_32 wide_resnet50_2
""".split()


@pytest.mark.parametrize("name", ONE_OF_EACH_FAMILY)
@pytest.mark.filterwarnings("ignore::UserWarning:torchvision", "ignore:.*indexing argument:UserWarning")
def test_verdict_is_autograds_own(name: str) -> None:
    comparisons = list(compare(build(name), 3))
    assert len(comparisons) == 3
    assert [str(found) for found in comparisons if not found.agrees] == []


def test_the_subset_leaves_out_no_family() -> None:
    # s3d and mvit take seconds per run, the rest of `detection.ssd` is as ssdlite; the whole zoo has them
    too_slow = {"video.s3d", "video.mvit", "detection.ssd"}

    def family(name: str) -> str:
        from torchvision.models import get_model_builder

        return get_model_builder(name).__module__.removeprefix("torchvision.models.")

    assert {family(name) for name in model_names()} - too_slow == {family(name) for name in ONE_OF_EACH_FAMILY}


class Parts(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.cut, self.zeroed, self.undefined = (torch.nn.Linear(2, 2) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return x + self.cut(x).detach() + 0 * self.zeroed(x) + (0 * self.undefined(x)).sqrt()


def test_the_reference_tells_the_cases_apart() -> None:
    model, inputs = Parts(), (torch.ones(1, 2),)
    names = called_layers(model, inputs)
    assert names == ["first", "cut", "zeroed", "undefined"]
    assert [gradient_status(model, inputs, name) for name in names[1:]] == ["none", "zero", "nan"]
    assert gradient_status(torch.nn.Sequential(torch.nn.Linear(2, 2)), inputs, "0") == "arrives"


def test_layers_are_spread() -> None:
    names = list("abcdefg")
    assert spread(names, 1) == ["d"]
    assert spread(names, 3) == ["a", "d", "g"]
    assert spread(names, 9) == names
