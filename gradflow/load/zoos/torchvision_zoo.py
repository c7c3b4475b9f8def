"""Models that torchvision builds by name."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from gradflow.errors import LoadError
from gradflow.load.names import did_you_mean
from gradflow.load.source import ImagePreset, SourcedModel

__all__ = ["build_torchvision", "torchvision_models"]

_FEW_WEIGHTS = 6


def torchvision_models() -> ModuleType:
    """``torchvision.models``, imported now.

    Raises
    ------
    LoadError
        When torchvision is missing, or was built for another torch and cannot be imported.
    """
    try:
        import torchvision
        import torchvision.models
    except ImportError as error:
        if getattr(error, "name", None) == "torchvision":
            raise LoadError(
                "torchvision is not installed, so models cannot be built by name",
                hint="install it with `pip install torchvision`, or name your own model: `train.py:build`",
            ) from error
        raise _broken(error) from error
    except Exception as error:  # a torchvision built for another torch fails in many ways
        raise _broken(error) from error
    models: ModuleType = torchvision.models
    return models


def _broken(error: Exception) -> LoadError:
    first_line = str(error).strip().partition("\n")[0]
    return LoadError(
        "torchvision is installed but cannot be imported, so models cannot be built by name",
        note=f"{type(error).__name__}: {first_line}; this is what a torchvision made for another torch looks like",
        hint="install the torchvision that belongs to your torch, or name your own model: `train.py:build`",
    )


def build_torchvision(name: str, *, weights: str | None, arguments: Mapping[str, Any]) -> SourcedModel:
    """Build a torchvision model; ``weights`` is ``None``, ``"none"``, ``"DEFAULT"`` or a name (``IMAGENET1K_V2``).

    Raises
    ------
    LoadError
        When torchvision has no such model or weights, or cannot build it.
    """
    models = torchvision_models()
    try:
        builder = models.get_model_builder(name)
    except ValueError as error:
        raise LoadError(
            f"torchvision has no model `{name}`",
            note="a model can also be a file, `timm:NAME`, or an object reference such as `train.py:build`",
            hint=did_you_mean(name, models.list_models()),
        ) from error
    chosen = _weights(models, name, weights)
    keywords = dict(arguments)
    if chosen is None and "weights_backbone" in inspect.signature(builder).parameters:
        keywords.setdefault("weights_backbone", None)
    said = () if weights else ("weights: none, random initialisation (`--weights DEFAULT` for trained ones)",)
    threshold = _score_threshold(builder)
    if chosen is None and threshold and threshold not in keywords:
        keywords[threshold] = 0.0
        said = (*said, "score threshold: 0, because a detection model with random weights is sure of nothing")
    try:
        with warnings.catch_warnings():
            # googlenet and inception announce a change of their random initialisation
            warnings.simplefilter("ignore", FutureWarning)
            model = builder(weights=chosen, **keywords)
    except Exception as error:
        raise LoadError(
            f"torchvision could not build `{name}`",
            note=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}",
            hint="the weights are downloaded; without a network use `--weights none`" if chosen else "",
        ) from error
    return SourcedModel(
        model=model,
        name=name,
        assumptions=said,
        class_names=tuple(chosen.meta.get("categories", ())) if chosen is not None else (),
        preset=_preset(chosen),
        input_size=_input_size(models, name),
        is_built_by_us=True,
    )


def _weights(models: ModuleType, name: str, wanted: str | None) -> Any:
    if wanted is None or wanted.casefold() == "none":
        return None
    available = models.get_model_weights(name)
    names = [*available.__members__]
    for candidate in names:
        if candidate.casefold() == wanted.rpartition(".")[2].casefold():
            return available[candidate]
    if not names:
        raise LoadError(f"torchvision has no trained weights for `{name}`", hint="leave `--weights` out")
    listed = ", ".join(f"`{candidate}`" for candidate in names[:_FEW_WEIGHTS])
    raise LoadError(
        f"`{name}` has no weights `{wanted}`",
        note=f"there are {listed} and `none`",
        hint=f"for weights of your own: `gradflow check WEIGHTS_FILE --arch {name}`",
    )


def _score_threshold(builder: Callable[..., Any]) -> str:
    """The argument of a detection model below which it drops what it found; empty for other models."""
    if not builder.__module__.startswith("torchvision.models.detection"):
        return ""
    return "box_score_thresh" if "rcnn" in builder.__name__ else "score_thresh"


def _preset(weights: Any) -> ImagePreset | None:
    if weights is None:
        return None
    transform = weights.transforms()
    # detection and optical-flow presets do not normalise: their models do
    mean, std = getattr(transform, "mean", (0.0,) * 3), getattr(transform, "std", (1.0,) * 3)
    return ImagePreset(transform=transform, mean=tuple(mean), std=tuple(std), name=f"the transform of `{weights}`")


def _input_size(models: ModuleType, name: str) -> tuple[int, ...] | None:
    """``(3, H, W)`` that the model's default weights were made for, where there are such weights."""
    default = getattr(models.get_model_weights(name), "DEFAULT", None)
    crop = getattr(getattr(default, "transforms", None), "keywords", {}).get("crop_size")
    if isinstance(crop, int):
        return (3, crop, crop)
    if isinstance(crop, (tuple, list)) and len(crop) == 2:
        return (3, int(crop[0]), int(crop[1]))
    return None
