"""Models that timm builds by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradflow.errors import LoadError
from gradflow.load.names import did_you_mean
from gradflow.load.source import ImagePreset, SourcedModel

__all__ = ["build_timm"]


def build_timm(name: str, *, weights: str | None, arguments: Mapping[str, Any]) -> SourcedModel:
    """Build a timm model; ``weights`` is ``None``, ``"none"``, ``"DEFAULT"`` or the tag after the dot in timm's names.

    Raises
    ------
    LoadError
        When timm is missing, has no such model, or cannot build it.
    """
    try:
        import timm
    except ImportError as error:
        if getattr(error, "name", None) == "timm":
            raise LoadError(
                f"`timm:{name}` needs timm, which is not installed",
                hint='install it with `pip install "gradflow-torch[timm]"`',
            ) from error
        raise _cannot_import(error) from error
    except Exception as error:  # timm imports torchvision, which fails in many ways beside the wrong torch
        raise _cannot_import(error) from error
    if not timm.is_model(name.partition(".")[0]):
        raise LoadError(f"timm has no model `{name}`", hint=did_you_mean(name, timm.list_models()))
    pretrained = weights is not None and weights.casefold() != "none"
    full_name = f"{name.partition('.')[0]}.{weights}" if pretrained and weights != "DEFAULT" else name
    try:
        model = timm.create_model(full_name, pretrained=pretrained, **arguments)
    except Exception as error:
        raise LoadError(
            f"timm could not build `{full_name}`",
            note=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}",
            hint="the weights are downloaded; without a network use `--weights none`" if pretrained else "",
        ) from error
    return SourcedModel(
        model=model,
        name=f"timm:{full_name}",
        assumptions=() if weights else ("weights: none, random initialisation (`--weights DEFAULT` for trained ones)",),
        preset=_preset(model, full_name) if pretrained else None,
        is_built_by_us=True,
    )


def _cannot_import(error: Exception) -> LoadError:
    return LoadError(
        "timm is installed but cannot be imported",
        note=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}",
        hint="timm needs a torchvision that belongs to your torch; or name your own model: `train.py:build`",
    )


def _preset(model: Any, name: str) -> ImagePreset:
    from timm.data.config import resolve_model_data_config
    from timm.data.transforms_factory import create_transform

    config = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    transform = create_transform(**config, is_training=False)
    return ImagePreset(
        transform=transform, mean=tuple(config["mean"]), std=tuple(config["std"]), name=f"timm's transform of `{name}`"
    )
