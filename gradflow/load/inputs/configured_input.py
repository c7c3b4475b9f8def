"""An input for a model that carries a configuration, as those of Hugging Face transformers do.

Nothing of transformers is imported: the model says by itself what its main input is called, and its configuration how
large that is.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from gradflow.load.inputs.random_input import GUESSED_BYTES, largest_id, random_tensor, whole_number

__all__ = ["configured_inputs"]

_TOKENS = 23
"""So many that they are no square of patches, not even with a class token before them."""

_SAMPLES = 16_000
"""One second of sound at the usual rate."""

_PICTURE = 224
_NESTED = ("text_config", "vision_config", "audio_config", "encoder", "decoder")


def configured_inputs(model: nn.Module, *, seed: int) -> Mapping[str, Any] | None:
    """Keyword arguments for ``model``; ``None`` where it has no configuration or an input of an unknown kind.

    Token ids ``input_ids [1, 23]``, pictures or videos ``pixel_values [1, (T,) C, H, W]``, sound
    ``input_values [1, 16000]``, spectrograms ``input_features [1, bins, frames]``; for models with an encoder and a
    decoder also ``decoder_input_ids [1, 11]``.
    """
    config, main = getattr(model, "config", None), getattr(model, "main_input_name", None)
    if not isinstance(main, str) or not isinstance(getattr(config, "model_type", None), str):
        return None
    wanted = [main]
    try:
        parameters = inspect.signature(model.forward).parameters
    except (TypeError, ValueError):  # a forward that is not written in Python tells no names
        return None
    if main == "input_ids" and "pixel_values" in parameters and hasattr(config, "vision_config"):
        wanted.append("pixel_values")
    if getattr(config, "is_encoder_decoder", False) and "decoder_input_ids" in parameters:
        wanted.append("decoder_input_ids")
    inputs = {}
    for position, name in enumerate(wanted):
        made = _input(name, config, model, seed + position)
        if made is None or name not in parameters:
            return None
        inputs[name] = made
    return inputs


def _input(name: str, config: Any, model: nn.Module, seed: int) -> torch.Tensor | None:
    if name in ("input_ids", "decoder_input_ids", "inputs"):
        length = min(_TOKENS if name != "decoder_input_ids" else _TOKENS // 2, _number(config, _POSITIONS) or _TOKENS)
        high = _number(config, ("vocab_size",)) or largest_id(model)
        return random_tensor((1, length), torch.int64, model=model, seed=seed, high=high, most=GUESSED_BYTES)
    shape = _shape(name, config)
    return None if shape is None else random_tensor(shape, None, model=model, seed=seed, most=GUESSED_BYTES)


_POSITIONS = ("max_position_embeddings", "n_positions")


def _shape(name: str, config: Any) -> tuple[int, ...] | None:
    if name == "pixel_values":
        channels, size = _number(config, ("num_channels",)) or 3, _size(config)
        frames = _number(config, ("num_frames",))
        return (1, frames, channels, *size) if frames else (1, channels, *size)
    if name == "input_values":
        return (1, _SAMPLES)
    bins, positions = _number(config, ("num_mel_bins",)), _number(config, ("max_source_positions",))
    if name == "input_features" and bins and positions:
        return (1, bins, 2 * positions)  # the encoder's convolutions halve the number of frames
    return None


def _configs(config: Any) -> Iterator[Any]:
    yield config
    for name in _NESTED:
        nested = getattr(config, name, None)
        if nested is not None and hasattr(nested, "model_type"):
            yield nested


def _number(config: Any, names: tuple[str, ...]) -> int | None:
    for part in _configs(config):
        for name in names:
            value = whole_number(getattr(part, name, None), least=1)
            if value is not None:
                return value
    return None


def _size(config: Any) -> tuple[int, int]:
    for part in _configs(config):
        size = getattr(part, "image_size", None)
        sides = size if isinstance(size, (tuple, list)) and len(size) == 2 else (size, size)
        height, width = (whole_number(side, least=1) for side in sides)
        if height is not None and width is not None:
            return height, width
    return _PICTURE, _PICTURE
