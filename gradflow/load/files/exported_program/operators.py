"""Which operators a program may call: those that compute, by what torch itself knows of them."""

from __future__ import annotations

import functools
import math
import operator
import re
from typing import Literal

import torch
from torch._export.serde import serialize

from gradflow.load.files.exported_program.offence import Misshapen, NeedsPackage, RunsCode, shown

__all__ = ["OperatorKind", "checked_operator"]

OperatorKind = Literal["operator", "higher-order", "arithmetic"]

_OPERATOR = re.compile(r"torch\.ops\.(aten|prims|torchvision|quantized)\.([A-Za-z_]\w*)\.([A-Za-z_]\w*)", re.ASCII)
_HIGHER_ORDER = re.compile(r"torch\.ops\.higher_order\.([a-z_]+)", re.ASCII)
_ARITHMETIC = re.compile(r"(_operator|math|torch)\.([a-z_]+)", re.ASCII)
_MODULES = {"_operator": operator, "math": math, "torch": torch}
# Each runs graphs that the program holds, at most once; what repeats a graph, prints, or calls other code is not here.
_RUNS_A_GRAPH_ONCE = frozenset(
    "cond wrap_with_set_grad_enabled wrap_with_autocast tag_activation_checkpoint wrap_activation_checkpoint "
    "invoke_subgraph".split()
)


@functools.cache
def checked_operator(target: str) -> OperatorKind:
    """What kind of operator a node calls.

    Raises
    ------
    RunsCode
        When it is none that only computes: one that opens files, prints, repeats a graph, or none of torch's.
    NeedsPackage
        When it is one of torchvision, and that is not installed.
    Misshapen
        When this torch does not have it.
    """
    if match := _OPERATOR.fullmatch(target):
        _check_schema(match[1], match[2], match[3], target)
        return "operator"
    if (match := _HIGHER_ORDER.fullmatch(target)) and match[1] in _RUNS_A_GRAPH_ONCE:
        return "higher-order"
    if match := _ARITHMETIC.fullmatch(target):
        function = getattr(_MODULES[match[1]], match[2], None)
        if function is not None and any(function is known for known in serialize._SYM_OPS):
            return "arithmetic"
    raise RunsCode(f"the operator {shown(target)}")


def _check_schema(namespace: str, name: str, overload: str, target: str) -> None:
    """Whether the dispatcher knows the operator, and it works on more than a text.

    TorchScript's own operators, which write files and print, are not known to the dispatcher. Of those that are, the
    ones that open a file or print something need a text and nothing else.
    """
    if namespace == "torchvision":
        _register_torchvision()
    qualified, overload = f"{namespace}::{name}", "" if overload == "default" else overload
    try:
        schema = torch._C._get_schema(qualified, overload)
    except RuntimeError as error:
        raise Misshapen(f"the operator {shown(target)}, which torch {torch.__version__} does not have") from error
    try:
        torch._C._dispatch_find_schema_or_throw(qualified, overload)
    except RuntimeError as error:
        raise RunsCode(f"the operator {shown(target)}") from error
    if name.endswith("_backward"):  # called by autograd alone, on what its forward has made; not guarded against more
        raise RunsCode(f"the operator {shown(target)}, the derivative of another one")
    needed = [argument for argument in schema.arguments if not argument.has_default_value() and not argument.is_out]
    if needed and all(str(argument.type) == "str" for argument in needed):
        raise RunsCode(f"the operator {shown(target)}")


def _register_torchvision() -> None:
    try:
        import torchvision.ops  # noqa: F401 - registers its operators
    except ImportError as error:
        raise NeedsPackage("an operator of torchvision, which cannot be imported", "torchvision") from error
