"""The names in an exported program, which torch writes into Python source or uses as attributes of modules."""

from __future__ import annotations

import ast
import functools
import keyword
import re

import torch

from gradflow.load.files.exported_program.offence import AsksTooMuch, Misshapen, RunsCode, shown

__all__ = ["checked_identifier", "checked_module_path", "checked_text", "is_identifier"]

_MOST_LETTERS = 1000
_MOST_TEXT = 100_000
_MOST_LEVELS = 64
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# torch puts a level that is no identifier between double quotes: nothing that could end them. `@2` is the second call.
_LEVEL = re.compile(r"([A-Za-z0-9_ -]+)(?:@[0-9]{1,6})?")
_OF_EVERY_MODULE = frozenset(dir(torch.nn.Module()))


def is_identifier(name: str) -> bool:
    """Whether a name can stand in generated source as a variable, and hides nothing that the source relies on."""
    return bool(
        len(name) <= _MOST_LETTERS
        and _IDENTIFIER.fullmatch(name)
        and not keyword.iskeyword(name)
        and not _is_dunder(name)
        and name not in _taken_names()
    )


def checked_identifier(name: str) -> str:
    """The name of a value, an argument or a graph.

    Raises
    ------
    RunsCode
        When it is no plain identifier.
    """
    if not is_identifier(name):
        raise RunsCode(f"the name {shown(name)}")
    return name


def checked_module_path(path: str) -> str:
    """Where a module, parameter or buffer is: names or numbers, with dots between them; empty for the whole model.

    Raises
    ------
    RunsCode
        When a level could become code, or hides what every ``torch.nn.Module`` has.
    AsksTooMuch
        When it has too many levels.
    """
    levels = path.split(".") if path else []
    if len(levels) > _MOST_LEVELS or len(path) > 4 * _MOST_LETTERS:
        raise AsksTooMuch(f"the module path {shown(path)} of {len(levels)} levels")
    for level in levels:
        match = _LEVEL.fullmatch(level)
        if not match or keyword.iskeyword(level) or _is_dunder(level) or match[1] in _OF_EVERY_MODULE:
            raise RunsCode(f"the module path {shown(path)}")
    return path


def checked_text(text: str) -> str:
    """A text that an operator takes as a value, such as a padding mode or the message of an assertion.

    Raises
    ------
    Misshapen
        When it holds control characters.
    AsksTooMuch
        When it is very long.
    """
    if len(text) > _MOST_TEXT:
        raise AsksTooMuch(f"a text of {len(text):,} letters")
    if not all(letter.isprintable() or letter in "\n\t" for letter in text):
        raise Misshapen(f"the text {shown(text)} with control characters")
    return text


@functools.cache
def _taken_names() -> frozenset[str]:
    """What torch's generated functions take for granted: their globals, and what they reach a parameter with."""
    graph = torch.fx.Graph()
    parameter = graph.get_attr("level.0")
    graph.output(parameter)
    code = graph.python_code("self")
    written = {node.id for node in ast.walk(ast.parse(code.src)) if isinstance(node, ast.Name)}
    return frozenset(written - {parameter.name} | set(code.globals))


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
