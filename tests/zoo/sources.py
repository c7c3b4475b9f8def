"""Where the models of the zoo come from; a source is imported only when one of its models is built."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

SOURCES = ("torchvision", "timm", "transformers")


def source_module(source: str) -> ModuleType:
    """The file of the zoo that has ``model_names()`` and ``build(name)`` for this source."""
    return import_module(f"tests.zoo.{source}_models")
