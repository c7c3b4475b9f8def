"""Finds the weights in what a training script saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gradflow.errors import LoadError

__all__ = ["Weights", "find_weights"]

_USUAL_KEYS = (
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "net",
    "network",
    "weights",
    "params",
    "ema",
    "model_ema",
    "ema_state_dict",
    "state_dict_ema",
    "params_ema",
    "generator",
    "student",
    "teacher",
    "encoder",
    "backbone",
)
_NEVER = ("optimizer", "optim", "scheduler", "lr_scheduler", "scaler", "optimizer_state_dict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A state dict or a whole model, and the key of the checkpoint under which it was found."""

    value: Mapping[str, torch.Tensor] | torch.nn.Module
    where: str = ""
    arch: str = ""

    @property
    def described(self) -> str:
        """For example ``a state dict of 161 tensors under `model```."""
        if isinstance(self.value, torch.nn.Module):
            return f"a `{type(self.value).__name__}`"
        under = f" under `{self.where}`" if self.where else ""
        return f"a state dict of {len(self.value)} tensors{under}"


def find_weights(loaded: object, path: Path) -> Weights:
    """The state dict, or the model, that ``loaded`` is or holds.

    Raises
    ------
    LoadError
        When there is none, saying what the file holds instead.
    """
    found = _search(loaded, 3, set())
    if found is None:
        is_tensor = isinstance(loaded, torch.Tensor)
        raise LoadError(
            f"`{path}` holds no model and no weights",
            note=f"it holds {_described(loaded)}",
            hint=f"a tensor can be an input: `--input {path}`" if is_tensor else "save `model.state_dict()`",
        )
    arch = loaded.get("arch") if isinstance(loaded, Mapping) else None
    value, where = found
    if not isinstance(value, torch.nn.Module):
        value = {name: tensor for name, tensor in value.items() if isinstance(tensor, torch.Tensor)}
    return Weights(value=value, where=where, arch=arch if isinstance(arch, str) else "")


def _search(value: object, depth: int, seen: set[tuple[int, int]]) -> tuple[Any, str] | None:
    if isinstance(value, torch.nn.Module) or _is_state_dict(value):
        return value, ""
    if not isinstance(value, Mapping) or depth == 0 or (id(value), depth) in seen:
        return None
    seen.add((id(value), depth))  # one dictionary may be held in many places
    rest = sorted(key for key in value if isinstance(key, str) and key not in _USUAL_KEYS and key not in _NEVER)
    for key in (*_USUAL_KEYS, *rest):
        found = _search(value[key], depth - 1, seen) if key in value else None
        if found is not None:
            return found[0], f"{key}.{found[1]}" if found[1] else key
    return None


def _is_state_dict(value: object) -> bool:
    if not isinstance(value, Mapping) or not value or not all(isinstance(key, str) for key in value):
        return False
    tensor_count = sum(isinstance(entry, torch.Tensor) for entry in value.values())
    return tensor_count > 0 and tensor_count >= 0.7 * len(value)


def _described(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {list(value.shape)}"
    if isinstance(value, Mapping):
        keys = [f"`{key}`" for key in list(value)[:6]]
        return f"a dictionary with {', '.join(keys)}" if keys else "an empty dictionary"
    return f"an object of type `{type(value).__name__}`"
