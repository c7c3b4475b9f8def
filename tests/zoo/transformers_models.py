"""Architectures of Hugging Face transformers, each built from a configuration small enough for any machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from torch import Tensor

from tests.zoo.case import SEED, Case

VOCABULARY = 64


def tokens(count: int = 12) -> Tensor:
    """Token ids ``[1, count]``; small ones may be special, so none of those."""
    return torch.randint(8, VOCABULARY, (1, count))


def picture(size: int = 32) -> Tensor:
    return torch.randn(1, 3, size, size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """``architecture`` is the model's class in transformers; ``options`` are those of its configuration."""

    architecture: str
    options: Mapping[str, Any] = field(default_factory=dict)
    inputs: Callable[[], Mapping[str, Any]] = lambda: {"input_ids": tokens()}
    part: str = "logits"
    # class 0 is often the padding, whose weights are zeros
    target: int = 1


TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}
DECODER = TEXT | {"num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
TWO_SIDED = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
PATCHES = {"image_size": 32, "patch_size": 8, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
PATCHES_MLP = PATCHES | {"intermediate_size": 48}
SPEECH = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": (16, 16, 16),
    "conv_kernel": (10, 3, 3),
    "conv_stride": (5, 2, 2),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
}


def _backbone(*stages: str) -> Any:
    return transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=list(stages),
    )


DETECTOR = {
    "use_timm_backbone": False,
    "use_pretrained_backbone": False,
    "backbone": None,
    "num_queries": 5,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
}


def _picture(size: int = 32) -> Callable[[], Mapping[str, Any]]:
    return lambda: {"pixel_values": picture(size)}


def _waveform() -> Mapping[str, Any]:
    return {"input_values": torch.randn(1, 1600)}


def _both_sides() -> Mapping[str, Any]:
    return {"input_ids": tokens(), "decoder_input_ids": tokens(6)}


RECIPES: dict[str, Recipe] = {
    "albert": Recipe(architecture="AlbertForSequenceClassification", options=TEXT | {"embedding_size": 16}),
    "bart": Recipe(
        architecture="BartForConditionalGeneration",
        options=TWO_SIDED | {"max_position_embeddings": 40},
        inputs=_both_sides,
    ),
    "beit": Recipe(architecture="BeitForImageClassification", options=PATCHES_MLP, inputs=_picture()),
    "bert": Recipe(architecture="BertForSequenceClassification", options=TEXT),
    "bert-eager": Recipe(architecture="BertForMaskedLM", options=TEXT | {"attn_implementation": "eager"}),
    "clip": Recipe(
        architecture="CLIPModel",
        options={
            "text_config": TEXT | {"bos_token_id": 0, "eos_token_id": 2},
            "vision_config": PATCHES_MLP,
            "projection_dim": 16,
        },
        inputs=lambda: {"input_ids": tokens(), "pixel_values": picture()},
        part="logits_per_image",
        target=0,
    ),
    "convnext": Recipe(
        architecture="ConvNextForImageClassification",
        options={"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "num_labels": 5},
        inputs=_picture(64),
    ),
    "deberta-v2": Recipe(
        architecture="DebertaV2ForSequenceClassification",
        options=TEXT | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8},
    ),
    "deformable-detr": Recipe(
        architecture="DeformableDetrForObjectDetection",
        options=DETECTOR
        | {
            "backbone_config": _backbone("stage2", "stage3", "stage4"),
            "num_feature_levels": 3,
            "with_box_refine": True,
            "disable_custom_kernels": True,
        },
        inputs=_picture(96),
    ),
    "detr": Recipe(
        architecture="DetrForObjectDetection",
        options=DETECTOR | {"backbone_config": _backbone("stage4")},
        inputs=_picture(96),
    ),
    "dinov2": Recipe(
        architecture="Dinov2ForImageClassification", options=PATCHES | {"mlp_ratio": 2}, inputs=_picture()
    ),
    "distilbert": Recipe(
        architecture="DistilBertForSequenceClassification",
        options={"vocab_size": VOCABULARY, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48},
    ),
    "electra": Recipe(architecture="ElectraForSequenceClassification", options=TEXT | {"embedding_size": 16}),
    "fnet": Recipe(
        architecture="FNetForSequenceClassification",
        options={"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48},
    ),
    "gemma": Recipe(architecture="GemmaForCausalLM", options=DECODER | {"head_dim": 8}),
    "gpt2": Recipe(
        architecture="GPT2LMHeadModel",
        options={"vocab_size": VOCABULARY, "n_positions": 40, "n_embd": 32, "n_layer": 2, "n_head": 4},
    ),
    "gpt-neox": Recipe(architecture="GPTNeoXForCausalLM", options=TEXT),
    "llama": Recipe(architecture="LlamaForCausalLM", options=DECODER),
    "longformer": Recipe(
        architecture="LongformerForSequenceClassification", options=TEXT | {"attention_window": 4, "pad_token_id": 0}
    ),
    "mamba": Recipe(
        architecture="MambaForCausalLM",
        options={"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8},
    ),
    "mixtral": Recipe(
        architecture="MixtralForCausalLM", options=DECODER | {"num_local_experts": 4, "num_experts_per_tok": 2}
    ),
    "mobilevit": Recipe(
        architecture="MobileViTForImageClassification",
        options={
            "image_size": 64,
            "hidden_sizes": [16, 24, 32],
            "neck_hidden_sizes": [8, 8, 16, 24, 32, 32, 64],
            "num_attention_heads": 2,
        },
        inputs=_picture(64),
    ),
    "opt": Recipe(
        architecture="OPTForCausalLM",
        options={
            "vocab_size": VOCABULARY,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "ffn_dim": 48,
            "max_position_embeddings": 40,
            "word_embed_proj_dim": 32,
        },
        target=5,
    ),
    "perceiver": Recipe(
        architecture="PerceiverForSequenceClassification",
        options={
            "num_latents": 6,
            "d_latents": 16,
            "d_model": 32,
            "num_blocks": 1,
            "num_self_attends_per_block": 2,
            "num_self_attention_heads": 2,
            "num_cross_attention_heads": 2,
            "vocab_size": VOCABULARY,
            "max_position_embeddings": 12,
        },
        inputs=lambda: {"inputs": tokens()},
    ),
    "qwen3-moe": Recipe(
        architecture="Qwen3MoeForCausalLM",
        options=DECODER | {"head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24},
    ),
    "reformer": Recipe(
        architecture="ReformerForSequenceClassification",
        options={
            "vocab_size": VOCABULARY,
            "hidden_size": 32,
            "num_attention_heads": 4,
            "attention_head_size": 8,
            "feed_forward_size": 48,
            "attn_layers": ["local", "lsh"],
            "local_attn_chunk_length": 4,
            "lsh_attn_chunk_length": 4,
            "num_buckets": 2,
            "axial_pos_shape": [4, 4],
            "axial_pos_embds_dim": [16, 16],
            "max_position_embeddings": 16,
            "is_decoder": False,
        },
        inputs=lambda: {"input_ids": tokens(16)},
    ),
    "resnet": Recipe(
        architecture="ResNetForImageClassification",
        options={"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]},
        inputs=_picture(64),
    ),
    "roberta": Recipe(architecture="RobertaForSequenceClassification", options=TEXT),
    "rwkv": Recipe(
        architecture="RwkvForCausalLM",
        options={
            "vocab_size": VOCABULARY,
            "context_length": 32,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "attention_hidden_size": 32,
            "intermediate_size": 48,
        },
    ),
    "segformer": Recipe(
        architecture="SegformerForSemanticSegmentation",
        options={
            "hidden_sizes": [8, 16, 24, 32],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 2, 4],
            "decoder_hidden_size": 32,
        },
        inputs=_picture(64),
    ),
    "swin": Recipe(
        architecture="SwinForImageClassification",
        options={
            "image_size": 32,
            "patch_size": 2,
            "embed_dim": 8,
            "depths": [2, 2],
            "num_heads": [2, 4],
            "window_size": 4,
        },
        inputs=_picture(),
    ),
    "t5": Recipe(
        architecture="T5ForConditionalGeneration",
        options={
            "vocab_size": VOCABULARY,
            "d_model": 32,
            "d_kv": 8,
            "d_ff": 48,
            "num_layers": 2,
            "num_heads": 4,
            "decoder_start_token_id": 0,
        },
        inputs=_both_sides,
    ),
    "videomae": Recipe(
        architecture="VideoMAEForVideoClassification",
        options=PATCHES_MLP | {"num_frames": 4, "tubelet_size": 2},
        inputs=lambda: {"pixel_values": torch.randn(1, 4, 3, 32, 32)},
    ),
    "vit": Recipe(architecture="ViTForImageClassification", options=PATCHES_MLP, inputs=_picture()),
    "vit-mae": Recipe(
        architecture="ViTMAEForPreTraining",
        options=PATCHES_MLP
        | {
            "decoder_num_attention_heads": 4,
            "decoder_hidden_size": 16,
            "decoder_num_hidden_layers": 1,
            "decoder_intermediate_size": 24,
        },
        inputs=_picture(),
    ),
    "wav2vec2": Recipe(architecture="Wav2Vec2ForCTC", options=SPEECH | {"vocab_size": VOCABULARY}, inputs=_waveform),
    "hubert": Recipe(architecture="HubertForSequenceClassification", options=SPEECH, inputs=_waveform),
    "whisper": Recipe(
        architecture="WhisperForConditionalGeneration",
        options=TWO_SIDED | {"num_mel_bins": 16, "max_source_positions": 30, "max_target_positions": 20},
        inputs=lambda: {"input_features": torch.randn(1, 16, 60), "decoder_input_ids": tokens(6)},
    ),
    "xlnet": Recipe(
        architecture="XLNetForSequenceClassification",
        options={"vocab_size": VOCABULARY, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48},
    ),
}


def model_names() -> list[str]:
    """Names of all architectures."""
    return list(RECIPES)


def build(name: str) -> Case:
    """An architecture by its name; the same weights and input every time, nothing is downloaded."""
    recipe = RECIPES[name]
    torch.manual_seed(SEED)
    architecture = getattr(transformers, recipe.architecture)
    model = architecture(architecture.config_class(**recipe.options)).eval()
    inputs = recipe.inputs()
    return Case(name=name, family=name, model=model, inputs=inputs, part=recipe.part, target=recipe.target)
