"""In which modules an operation ran: ``key,path,class`` for each, with semicolons between them."""

from __future__ import annotations

import re
from typing import Any

from gradflow.load.files.exported_program.names import checked_module_path
from gradflow.load.files.exported_program.offence import AsksTooMuch, Misshapen, RunsCode, shown

__all__ = ["checked_module_stack"]

_MOST_LEVELS = 64
# keys only tell modules apart: `L__self__layer1.0`, `L['self'].body[0]`, or a number
_KEY = re.compile(r"[\w.@\[\]'\" -]{0,1000}", re.ASCII)
_CLASS = re.compile(r"[\w.<>]{0,1000}", re.ASCII)
_UNKNOWN_CLASS = "torch.nn.Module"
_ROOT = "L['self']"


def checked_module_stack(stack: Any) -> str:
    """The same, with a neutral name in place of a class that has an unusual one: nothing depends on it.

    Raises
    ------
    RunsCode
        When a path could become code; the modules that are restored have attributes of these names.
    Misshapen, AsksTooMuch
        When it has another form, or too many levels.
    """
    if not isinstance(stack, str):
        raise Misshapen(f"{shown(stack)} where the modules of an operation belong")
    levels = stack.split(";")
    if len(levels) > _MOST_LEVELS:
        raise AsksTooMuch(f"an operation within {len(levels)} modules")
    return ";".join(_checked_level(level) for level in levels)


def _checked_level(level: str) -> str:
    key, comma, rest = level.partition(",")
    path, second_comma, kind = rest.partition(",")
    if not comma or not second_comma:
        raise Misshapen(f"the modules of an operation as {shown(level)}")
    if not _KEY.fullmatch(key):
        raise RunsCode(f"the module path {shown(key)}")
    inner = path.removeprefix(_ROOT).removeprefix(".") if path.startswith(_ROOT) else path
    checked_module_path(inner)
    return f"{key},{path},{kind if _CLASS.fullmatch(kind) else _UNKNOWN_CLASS}"
