"""Picks the tensor that a score is taken from out of whatever a model returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy
import torch

from gradflow.errors import ScoreError
from gradflow.load.scores.choice import Choice
from gradflow.load.scores.parts import Walk
from gradflow.load.selector import part_names
from gradflow.spelled import Spelled
from gradflow.values import first_tensor, is_tensor

__all__ = ["choose_tensor"]

_FIRST = ("score", "scores", "logits", "class_logits", "out", "output", "prediction", "predictions", "pred")
_LAST = ("loss", "boxes", "labels", "past_key_values", "hidden_states", "attentions", "image_id", "masks")
_VALUES = (torch.Tensor, numpy.ndarray, numpy.generic)


def choose_tensor(value: Any, path: str = "output", choice: Choice | None = None) -> tuple[torch.Tensor, str]:
    """The tensor that most likely holds the scores, and how to write it (``output['out']``).

    In mappings, named tuples, dataclasses and model outputs, names such as ``scores``, ``logits`` and ``out`` come
    first, boxes and labels last; of a list of optical flows the last, the most refined one, counts. Floating-point
    tensors with entries are preferred to integer and empty ones. Numbers and NumPy arrays become tensors, without a
    gradient as they are. What is only reported beside outputs that have a gradient history is left out by ``choice``.

    Raises
    ------
    ScoreError
        When the output holds no tensor with entries.
    """
    parts = list(Walk(_is_candidate, _in_order, _is_list_of_flows).through(value, path))
    candidates = list(_as_tensors(parts if choice is None else choice.of(parts)))
    filled = [(tensor, where) for tensor, where in candidates if tensor.numel() > 0]
    for tensor, where in filled:
        if tensor.is_floating_point() or tensor.is_complex():
            return tensor, where
    if filled:
        return filled[0]
    if candidates:
        empty = ", ".join(f"`{where}` {list(tensor.shape)}" for tensor, where in candidates[:4])
        raise ScoreError(
            f"the model's output has no entries: {empty}",
            note="a detection model with random weights often finds nothing",
            hint=Spelled(
                "use trained weights, another input, or a score of your own: `--score file.py:function`",
                in_python="use trained weights, another input, or a score of your own: `score=function`",
            ),
        )
    names = part_names(value)
    kind = f"the model's output, a `{type(value).__name__}`,"
    raise ScoreError(
        f"{kind} keeps its tensors where none is chosen from"
        if first_tensor(value) is not None
        else f"{kind} holds no tensor",
        note=f"it has {', '.join(names)}" if names else "",
        hint=Spelled(
            "say how a score is made from it: `--score file.py:function`",
            in_python="say how a score is made from it: `score=function`",
        ),
    )


def _is_candidate(value: Any, depth: int) -> bool:
    kind = type(value)
    return issubclass(kind, (float, *_VALUES)) or (kind is int and depth == 0)


def _as_tensors(parts: Iterable[tuple[Any, str]]) -> Iterator[tuple[torch.Tensor, str]]:
    for value, where in parts:
        if is_tensor(value):
            yield value, where
            continue
        try:
            tensor = torch.tensor(value)
        except (TypeError, ValueError, RuntimeError):  # arrays of objects or text
            continue
        yield tensor, where


def _in_order(names: list[Any]) -> list[Any]:
    def rank(name: Any) -> int:
        if name in _FIRST:
            return _FIRST.index(name)
        return len(_FIRST) + (_LAST.index(name) + 1 if name in _LAST else 0)

    return sorted(names, key=rank)


def _is_list_of_flows(value: Any) -> bool:
    """RAFT returns one flow ``[N, 2, H, W]`` per iteration."""
    if type(value) not in (list, tuple) or len(value) < 2:
        return False
    return all(
        is_tensor(item) and item.ndim == 4 and item.shape[1] == 2 and item.shape == value[0].shape for item in value
    )
