"""Which derivative of torch's own a node of the autograd graph is."""

from __future__ import annotations

import re
from typing import Any

import torch

__all__ = ["is_written_in_python", "kind_of", "operation_behind"]

_WRITTEN_IN_PYTHON = torch._C._FunctionBase


def is_written_in_python(node: Any) -> bool:
    """Whether somebody wrote the backward that a node runs: that of a custom ``autograd.Function``."""
    return isinstance(node, _WRITTEN_IN_PYTHON)


def kind_of(node: Any) -> str:
    """``Mul`` of a ``MulBackward0``; empty where the node runs a backward that somebody wrote in Python.

    The node of a custom ``autograd.Function`` is called after its class: of a class ``Mul`` that is ``MulBackward``,
    and says nothing about the derivative.
    """
    if is_written_in_python(node):
        return ""
    name: str = node.name()
    return name.partition("Backward")[0]


def operation_behind(node: Any) -> str:
    """The operation whose derivative it is, as torch names operations: ``log_softmax`` of ``LogSoftmaxBackward0``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind_of(node)).lower()
