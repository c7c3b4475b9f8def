"""How inputs and outputs are nested: the JSON that ``torch.utils._pytree`` turns into containers.

Torch looks up and imports what such a specification names; here only Python's own containers are known, and the
specification is written anew.
"""

from __future__ import annotations

import json
from typing import Any

from gradflow.load.files.exported_program.names import checked_identifier, checked_text
from gradflow.load.files.exported_program.offence import AsksTooMuch, Misshapen, RunsCode, shown
from gradflow.load.files.exported_program.strict_json import parse_json

__all__ = ["checked_input_spec", "checked_output_spec"]

_PROTOCOL = 1
_SEQUENCES = frozenset(
    ("builtins.tuple", "builtins.list", "torch.Size", "torch.fx.immutable_collections.immutable_list")
)
_MAPPINGS = frozenset(("builtins.dict", "collections.OrderedDict", "torch.fx.immutable_collections.immutable_dict"))
_DEQUE = "collections.deque"
_WHAT = "a description of inputs or outputs"


def checked_input_spec(text: str) -> str:
    """The specification of the arguments of a call; keywords become names in generated source.

    Raises
    ------
    RunsCode
        When it names anything but Python's own containers, or a keyword is no identifier.
    Misshapen, AsksTooMuch
        When it is no specification, or is nested too deeply.
    """
    spec = _parsed(text)
    _, children = spec["context"], spec["children_spec"]
    if spec["type"] == "builtins.tuple" and len(children) == 2 and children[1]["type"] == "builtins.dict":
        for name in json.loads(children[1]["context"]):
            checked_identifier(str(name))
    return json.dumps([_PROTOCOL, spec])


def checked_output_spec(text: str) -> str:
    """The specification of what a call returns; raises as :func:`checked_input_spec`."""
    return json.dumps([_PROTOCOL, _parsed(text)])


def _parsed(text: str) -> dict[str, Any]:
    value = parse_json(text, _WHAT)
    if not isinstance(value, list) or len(value) != 2 or value[0] != _PROTOCOL:
        raise Misshapen(f"{_WHAT} in an unknown form: {shown(text)}")
    return _checked_node(value[1])


def _checked_node(node: Any) -> dict[str, Any]:
    if not isinstance(node, dict) or set(node) != {"type", "context", "children_spec"}:
        raise Misshapen(f"{_WHAT} in an unknown form: {shown(node)}")
    kind, context, children = node["type"], node["context"], node["children_spec"]
    if not isinstance(children, list) or not isinstance(kind, (str, type(None))):
        raise Misshapen(f"{_WHAT} in an unknown form: {shown(node)}")
    if kind is None:
        if context is not None or children:
            raise Misshapen(f"{_WHAT} in an unknown form: {shown(node)}")
    elif kind in _SEQUENCES:
        context = "null"
    elif kind in _MAPPINGS:
        context = _checked_keys(context, len(children))
    elif kind == _DEQUE:
        context = _checked_length(context)
    else:
        raise RunsCode(f"an input or output of type {shown(kind)}")
    return {"type": kind, "context": context, "children_spec": [_checked_node(child) for child in children]}


def _checked_keys(context: Any, count: int) -> str:
    if not isinstance(context, str):
        raise RunsCode(f"a container described by {shown(context)}")
    keys = parse_json(context, _WHAT)
    if not isinstance(keys, list) or len(keys) != count or not all(type(key) in (str, int) for key in keys):
        raise RunsCode(f"a container described by {shown(context)}")
    if len(set(keys)) < count:
        raise Misshapen(f"a container that uses a key twice: {shown(context)}")
    return json.dumps([checked_text(key) if isinstance(key, str) else key for key in keys])


def _checked_length(context: Any) -> str:
    length = parse_json(context, _WHAT) if isinstance(context, str) else context
    if length is not None and (type(length) is not int or length < 0):
        raise RunsCode(f"a container described by {shown(context)}")
    if length is not None and length > 2**31:
        raise AsksTooMuch(f"a container of {length:,} elements")
    return json.dumps(length)
