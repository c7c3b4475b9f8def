"""Inputs for models that carry a configuration: nothing of transformers is needed for that."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradflow.errors import UsageError
from gradflow.load.inputs.configured_input import configured_inputs
from gradflow.load.inputs.input_guess import guess_inputs


class Configured(nn.Module):
    def __init__(self, main: str, **config: Any) -> None:
        super().__init__()
        self.main_input_name = main
        self.config = SimpleNamespace(model_type="made-up", **config)
        self.weight = nn.Linear(2, 2)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        input_values: Tensor | None = None,
        input_features: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
    ) -> None: ...


@pytest.mark.parametrize(
    ("main", "config", "expected"),
    [
        ("pixel_values", {"image_size": "big"}, [1, 3, 224, 224]),
        ("pixel_values", {"image_size": (-1, 5)}, [1, 3, 224, 224]),
        ("pixel_values", {"image_size": (None, "x"), "num_channels": 2.5}, [1, 3, 224, 224]),
        ("input_ids", {"vocab_size": 10**30, "max_position_embeddings": 2**70}, [1, 23]),
        ("input_ids", {"vocab_size": -3, "max_position_embeddings": "x"}, [1, 23]),
    ],
)
def test_odd_numbers_in_a_configuration_do_not_count(main: str, config: dict[str, Any], expected: list[int]) -> None:
    assert shapes(Configured(main, **config)) == {main: expected}


@pytest.mark.parametrize("config", [{"image_size": 10**9}, {"num_channels": 10**12}, {"num_frames": 10**9}])
def test_a_configuration_that_wants_gigabytes_is_a_usage_error(config: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="GiB"):
        shapes(Configured("pixel_values", **config))


def shapes(model: nn.Module) -> dict[str, list[int]] | None:
    inputs = configured_inputs(model, seed=0)
    return None if inputs is None else {name: list(value.shape) for name, value in inputs.items()}


@pytest.mark.parametrize(
    ("main", "config", "expected"),
    [
        ("input_ids", {"vocab_size": 9}, {"input_ids": [1, 23]}),
        ("input_ids", {"vocab_size": 9, "max_position_embeddings": 12}, {"input_ids": [1, 12]}),
        ("input_ids", {"is_encoder_decoder": True}, {"input_ids": [1, 23], "decoder_input_ids": [1, 11]}),
        ("pixel_values", {"image_size": 48, "num_channels": 1}, {"pixel_values": [1, 1, 48, 48]}),
        ("pixel_values", {"image_size": (32, 64)}, {"pixel_values": [1, 3, 32, 64]}),
        ("pixel_values", {}, {"pixel_values": [1, 3, 224, 224]}),
        ("pixel_values", {"image_size": 32, "num_frames": 4}, {"pixel_values": [1, 4, 3, 32, 32]}),
        ("input_values", {}, {"input_values": [1, 16_000]}),
        ("input_features", {"num_mel_bins": 80, "max_source_positions": 50}, {"input_features": [1, 80, 100]}),
        ("input_features", {}, None),
        ("nodes", {}, None),
    ],
)  # fmt: skip
def test_shapes(main: str, config: dict[str, Any], expected: dict[str, list[int]] | None) -> None:
    assert shapes(Configured(main, **config)) == expected


def test_text_and_pictures_at_once() -> None:
    text = SimpleNamespace(model_type="text", vocab_size=9)
    vision = SimpleNamespace(model_type="vision", image_size=32)
    inputs = configured_inputs(Configured("input_ids", text_config=text, vision_config=vision), seed=0)
    assert inputs is not None
    assert {name: list(value.shape) for name, value in inputs.items()} == {
        "input_ids": [1, 23],
        "pixel_values": [1, 3, 32, 32],
    }
    assert inputs["input_ids"].dtype == torch.int64
    assert 0 <= int(inputs["input_ids"].min()) <= int(inputs["input_ids"].max()) < 9


def test_a_module_without_a_configuration_is_left_to_others() -> None:
    assert configured_inputs(nn.Linear(2, 2), seed=0) is None


def test_the_guess_says_where_it_comes_from() -> None:
    guess = guess_inputs(Configured("pixel_values", image_size=32), input_size=None, seed=0)
    assert list(guess.keywords) == ["pixel_values"]
    assert guess.reason == "as the model's configuration describes it"
