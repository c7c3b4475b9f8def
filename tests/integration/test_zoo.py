"""A fair part of the zoo: the verdict is autograd's own, and nothing healthy is called broken.

All models, as one command: `python -m tests.zoo`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.sampling import commit_number
from tests.zoo.case import Case
from tests.zoo.comparison import compare
from tests.zoo.reference import called_layers, spread, true_gradient
from tests.zoo.sources import source_module

TORCHVISION_FAMILIES = """
    alexnet convnext_tiny deeplabv3_mobilenet_v3_large densenet121 efficientnet_b0 fcn_resnet50 fcos_resnet50_fpn
    googlenet inception_v3 lraspp_mobilenet_v3_large maxvit_t mnasnet0_5 mobilenet_v2 mobilenet_v3_small r3d_18
    raft_small regnet_y_400mf resnet18 retinanet_resnet50_fpn shufflenet_v2_x0_5 squeezenet1_1
    ssdlite320_mobilenet_v3_large swin3d_t swin_t swin_v2_t vgg11 vit_b_32 wide_resnet50_2
""".split()

# of one family, and each as long as twenty others together: one with each commit
DETECTORS = ("fasterrcnn_mobilenet_v3_large_320_fpn", "keypointrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn")

# what torchvision does not have: gated and linear attention, state spaces, token mixers, reparametrised and
# hand-written layers, class attention, several patch sizes at once
TIMM_FAMILIES = """
    beit_base_patch16_224 convit_tiny efficientvim_m1 efficientvit_b0 fastvit_t8 gmlp_ti16_224 levit_128s mobilevit_xxs
    naflexvit_base_patch16_gap poolformerv2_s12 repghostnet_050 resnest14d samvit_base_patch16_224 starnet_s050
    test_byobnet test_coatnet test_mambaout test_nfnet test_vit test_vit_relpos xcit_nano_12_p8_224
""".split()

TRANSFORMERS = """
    albert bert-eager clip convnext deberta-v2 detr fnet gpt2 llama longformer mamba mixtral segformer swin t5 vit
    wav2vec2 whisper xlnet
""".split()


def assert_agrees(source: str, name: str) -> None:
    comparisons = list(compare(source_module(source).build(name), 3))
    assert len(comparisons) == 3
    assert [str(found) for found in comparisons if not found.agrees] == []


@pytest.mark.parametrize("name", [*TORCHVISION_FAMILIES, DETECTORS[commit_number() % len(DETECTORS)]])
@pytest.mark.filterwarnings("ignore::UserWarning:torchvision", "ignore:.*indexing argument:UserWarning")
def test_torchvision(name: str) -> None:
    pytest.importorskip("torchvision", exc_type=(ImportError, RuntimeError))
    assert_agrees("torchvision", name)


@pytest.mark.parametrize("name", TIMM_FAMILIES)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_timm(name: str) -> None:
    pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))
    assert_agrees("timm", name)


@pytest.mark.parametrize("name", TRANSFORMERS)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_transformers(name: str) -> None:
    pytest.importorskip("transformers", exc_type=(ImportError, RuntimeError))
    assert_agrees("transformers", name)


def test_a_stop_gradient_of_an_installed_package_is_told_and_no_fault() -> None:
    pytest.importorskip("transformers", exc_type=(ImportError, RuntimeError))
    # each decoder layer starts from the detached boxes of the one before it
    first, *_ = compare(source_module("transformers").build("deformable-detr"), 3)
    assert first.verdict == "connected"
    assert first.infos == ("partial-detach",)
    assert first.agrees


def test_a_backward_that_raises_is_no_verdict_of_ours() -> None:
    pytest.importorskip("transformers", exc_type=(ImportError, RuntimeError))
    comparisons = list(compare(source_module("transformers").build("rwkv"), 3))
    assert [found.truth.status for found in comparisons] == ["raises", "raises", "arrives"]
    assert [str(found) for found in comparisons if not found.agrees] == []


def test_the_subset_leaves_out_no_family_of_torchvision() -> None:
    pytest.importorskip("torchvision", exc_type=(ImportError, RuntimeError))
    # s3d and mvit take seconds per run, the rest of `detection.ssd` is as ssdlite; the whole zoo has them
    too_slow = {"video.s3d", "video.mvit", "detection.ssd"}

    def family(name: str) -> str:
        from torchvision.models import get_model_builder

        return get_model_builder(name).__module__.removeprefix("torchvision.models.")

    names = source_module("torchvision").model_names()
    assert {family(name) for name in names} - too_slow == {family(name) for name in (*TORCHVISION_FAMILIES, *DETECTORS)}


def test_the_zoo_has_most_families_of_timm() -> None:
    pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))
    models = source_module("timm")
    assert len(models.model_names()) >= 60
    assert not models.RECIPES.keys() & models.TOO_LARGE.keys()


class Parts(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.cut, self.zeroed, self.undefined = (torch.nn.Linear(2, 2) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return x + self.cut(x).detach() + 0 * self.zeroed(x) + (0 * self.undefined(x)).sqrt()


def case_of(model: torch.nn.Module) -> Case:
    return Case(name="", family="", model=model, inputs=(torch.ones(1, 2),))


def test_the_reference_tells_the_cases_apart() -> None:
    case = case_of(Parts())
    names = called_layers(case)
    assert names == ["first", "cut", "zeroed", "undefined"]
    assert [true_gradient(case, name).status for name in names[1:]] == ["none", "zero", "nan"]


def test_the_reference_measures_the_gradient() -> None:
    truth = true_gradient(case_of(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Identity())), "0")
    assert truth.status == "arrives"
    assert truth.norm == 1.0


def test_layers_are_spread() -> None:
    names = list("abcdefg")
    assert spread(names, 1) == ["d"]
    assert spread(names, 3) == ["a", "d", "g"]
    assert spread(names, 9) == names
