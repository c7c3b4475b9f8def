"""The smallest model of each family of timm (a family is a file of `timm.models`), with a small picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import timm
import torch
from timm.models import model_entrypoint

from tests.zoo.case import SEED, Case


@dataclass(frozen=True, slots=True)
class Recipe:
    """``size`` is the picture's; ``sized`` models are built for it, as fixed position embeddings need it."""

    name: str
    size: int = 64
    sized: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


NARROW = {"embed_dim": 96, "depth": 3, "num_heads": 3}
"""For families whose smallest member is large."""

RECIPES: dict[str, Recipe] = {
    "beit": Recipe("beit_base_patch16_224", sized=True, options=NARROW),
    "byoanet": Recipe("eca_botnext26ts_256", sized=True),
    "byobnet": Recipe("test_byobnet"),
    "cait": Recipe("cait_xxs24_224", sized=True),
    "coat": Recipe("coat_tiny", sized=True),
    "convit": Recipe("convit_tiny", sized=True),
    "convmixer": Recipe("convmixer_768_32"),
    "convnext": Recipe("test_convnext"),
    "cpubone": Recipe("cpubone_nano"),
    "crossvit": Recipe("crossvit_tiny_240"),
    "csatv2": Recipe("csatv2"),
    "cspnet": Recipe("cs3darknet_focus_s"),
    "cspnext": Recipe("cspnext_tiny"),
    "davit": Recipe("davit_tiny"),
    "deepseek_vit": Recipe("deepseek_vit_412m", size=224, options=NARROW),
    "deit": Recipe("deit_tiny_patch16_224", sized=True),
    "densenet": Recipe("densenet121"),
    "dla": Recipe("dla46x_c"),
    "dpn": Recipe("dpn48b"),
    "edgenext": Recipe("edgenext_xx_small"),
    "efficientformer": Recipe("efficientformer_l1", size=224),
    "efficientformer_v2": Recipe("efficientformerv2_s0", sized=True),
    "efficientnet": Recipe("test_efficientnet"),
    "efficientvim": Recipe("efficientvim_m1"),
    "efficientvit_mit": Recipe("efficientvit_b0"),
    "efficientvit_msra": Recipe("efficientvit_m0"),
    "eva": Recipe("vit_tiny_patch16_dinov3_qkvb"),
    "fasternet": Recipe("fasternet_t0"),
    "fastvit": Recipe("fastvit_t8"),
    "focalnet": Recipe("focalnet_tiny_srf"),
    "gcvit": Recipe("gcvit_xxtiny", sized=True),
    "gemma4_vit": Recipe("gemma4_vit_167m", options=NARROW),
    "ghostnet": Recipe("ghostnet_050"),
    "hardcorenas": Recipe("hardcorenas_b"),
    "hgnet": Recipe("hgnetv2_b0"),
    "hiera": Recipe("hiera_tiny_224", sized=True),
    "hieradet_sam2": Recipe("sam2_hiera_tiny"),
    "hrnet": Recipe("hrnet_w18_small"),
    "iformer": Recipe("iformer_t"),
    "inception_next": Recipe("inception_next_atto"),
    "inception_resnet_v2": Recipe("inception_resnet_v2", size=96),
    "inception_v3": Recipe("inception_v3", size=96),
    "inception_v4": Recipe("inception_v4", size=96),
    "lcnetv2": Recipe("lcnetv2_small"),
    "levit": Recipe("levit_128s", sized=True),
    "lowformer": Recipe("lowformer_b0"),
    "mambaout": Recipe("test_mambaout"),
    "maxxvit": Recipe("test_coatnet", sized=True),
    "metaformer": Recipe("poolformerv2_s12"),
    "mlp_mixer": Recipe("gmlp_ti16_224", sized=True),
    "mobilenetv3": Recipe("mobilenetv3_small_050"),
    "mobilenetv5": Recipe("mobilenetv5_base"),
    "mobilevit": Recipe("mobilevit_xxs"),
    "mvitv2": Recipe("mvitv2_tiny"),
    "naflexvit": Recipe("naflexvit_base_patch16_gap", options=NARROW),
    "nest": Recipe("nest_tiny", sized=True),
    "nextvit": Recipe("nextvit_small"),
    "nfnet": Recipe("test_nfnet"),
    "pit": Recipe("pit_ti_224", sized=True),
    "pvt_v2": Recipe("pvt_v2_b0"),
    "qwen3_vit": Recipe("qwen3_vit_88m", options=NARROW),
    "rdnet": Recipe("rdnet_tiny"),
    "regnet": Recipe("regnetx_002"),
    "repghost": Recipe("repghostnet_050"),
    "repvit": Recipe("repvit_m1"),
    "res2net": Recipe("res2next50"),
    "resnest": Recipe("resnest14d"),
    "resnet": Recipe("test_resnet"),
    "resnetv2": Recipe("resnetv2_18"),
    "rexnet": Recipe("rexnet_100"),
    "selecsls": Recipe("selecsls42"),
    "senet": Recipe("legacy_seresnet18"),
    "sequencer": Recipe("sequencer2d_s"),
    "shvit": Recipe("shvit_s1"),
    "sknet": Recipe("skresnet18"),
    "starnet": Recipe("starnet_s050"),
    "swiftformer": Recipe("swiftformer_xs"),
    "swin_transformer": Recipe("swin_tiny_patch4_window7_224", sized=True),
    "swin_transformer_v2": Recipe("swinv2_tiny_window8_256", sized=True),
    "swin_transformer_v2_cr": Recipe("swinv2_cr_tiny_224", sized=True),
    "tiny_vit": Recipe("tiny_vit_5m_224"),
    "tnt": Recipe("tnt_s_legacy_patch16_224", sized=True),
    "tresnet": Recipe("tresnet_m"),
    "twins": Recipe("twins_svt_small"),
    "visformer": Recipe("visformer_tiny", sized=True),
    "vision_transformer": Recipe("test_vit"),
    "vision_transformer_hybrid": Recipe("vit_tiny_r_s16_p8_224", sized=True),
    "vision_transformer_relpos": Recipe("test_vit_relpos", sized=True),
    "vision_transformer_sam": Recipe("samvit_base_patch16_224", options=NARROW),
    "vitamin": Recipe("vitamin_small_224", sized=True),
    "volo": Recipe("volo_d1_224", sized=True),
    "vovnet": Recipe("ese_vovnet19b_slim_dw"),
    "xception": Recipe("legacy_xception"),
    "xception_aligned": Recipe("xception41p"),
    "xcit": Recipe("xcit_nano_12_p8_224"),
}

TOO_LARGE = {"nasnet": "89 M parameters", "pnasnet": "86 M parameters", "vgg": "133 M parameters; torchvision has it"}
"""Families that are left out, and why: they have no small member, and no options that make one."""


def model_names() -> list[str]:
    """Names of the models, one per family."""
    return [recipe.name for recipe in RECIPES.values()]


def unknown_families() -> set[str]:
    """Families of the installed timm for which there is no recipe yet."""
    families = {model_entrypoint(name).__module__.rpartition(".")[2] for name in timm.list_models()}
    return families - RECIPES.keys() - TOO_LARGE.keys()


def build(name: str) -> Case:
    """A model by its name in timm; the same weights and input every time, nothing is downloaded."""
    family, recipe = next((family, recipe) for family, recipe in RECIPES.items() if recipe.name == name)
    torch.manual_seed(SEED)
    options = {"img_size": recipe.size} if recipe.sized else {}
    model = timm.create_model(name, pretrained=False, **options, **recipe.options).eval()
    return Case(name=name, family=family, model=model, inputs=(torch.randn(1, 3, recipe.size, recipe.size),))
