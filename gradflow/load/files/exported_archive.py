"""Looks into a ``.pt2`` archive before torch does.

``torch.export.load`` trusts its file: it unpickles example inputs and constants, evaluates size expressions, imports
what a tree specification names, and writes Python code from names in the graph. So every such place is checked first,
and an archive with anything unusual there is refused.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gradflow.load.files.allow_list import allowed_globals
from gradflow.load.files.pickle_scan import scan_pickle

__all__ = ["unusual_content"]

_OPERATOR = re.compile(r"torch\.ops\.(?:aten|prims|prim|higher_order|torchvision|quantized|export)\.\w+(?:\.\w+)?")
_ARITHMETIC = re.compile(
    r"_operator\.(?:getitem|add|sub|mul|floordiv|truediv|mod|pow|neg|pos|eq|ne|lt|le|gt|ge|and_|or_|not_|xor|lshift|rshift)"
    r"|math\.(?:ceil|floor|sqrt|trunc|isnan|isinf|log|log2|exp|pow)"
    r"|torch\.(?:sym_\w+|_sym_\w+)"
)
_REACHES_OUT = re.compile(r"from_file|save|load|compile|call_torchbind|run_with|import|exec|eval")
_NAME = re.compile(r"[\w.@]*")
_DOTTED = re.compile(r"[\w.@\[\]']*")
_SYMBOL = re.compile(r"z?[su]f?\d+|[uz]+f?\d+|[\d.]+(?:e\d+)?")
_EXPRESSION = re.compile(r"[\w\s(),=*+\-/<>.'%|&~]*")
_EXPRESSION_WORDS = frozenset(
    "Symbol Integer Float Rational Max Min Mul Add Pow Mod Abs Eq Ne Lt Le Gt Ge And Or Not floor ceiling oo int_oo "
    "True False positive negative integer real nonnegative nonzero finite FloorDiv ModularIndexing Where PythonMod "
    "CleanDiv CeilToInt FloorToInt CeilDiv LShift RShift PowByNatural FloatPow FloatTrueDiv IntTrueDiv TruncToFloat "
    "TruncToInt RoundToInt RoundDecimal ToFloat Identity IsNonOverlappingAndDenseIndicator".split()
)
_CONTAINERS = frozenset(
    (
        None,
        "builtins.tuple",
        "builtins.list",
        "builtins.dict",
        "collections.OrderedDict",
        "collections.deque",
        "torch.Size",
    )
)
_NAME_KEYS = frozenset(("name", "parameter_name", "buffer_name", "tensor_constant_name", "fqn", "user_input_name"))


def unusual_content(path: Path) -> str:
    """What in the archive could run code when torch loads it, in words; empty when there is nothing.

    Raises
    ------
    Exception
        Whatever zip, JSON and pickle readers raise for damaged data.
    """
    with zipfile.ZipFile(path) as archive:
        for record in archive.namelist():
            inner = record.partition("/")[2]
            found = ""
            if inner.startswith(("data/aotinductor/", "executorch/")):
                found = f"compiled code (`{inner}`)"
            elif inner.startswith(("data/sample_inputs/", "data/weights/", "data/constants/")):
                found = _unusual_record(inner, archive.read(record))
            elif inner.startswith("models/"):
                found = _unusual_program(json.loads(archive.read(record)))
            if found:
                return found
    return ""


def _unusual_record(name: str, data: bytes) -> str:
    if name.endswith(".json"):
        paths = [str(entry.get("path_name", "")) for entry in _dictionaries(json.loads(data))]
        custom = [path for path in paths if path.startswith(("custom_obj", "opaque_obj")) or ".." in path]
        return f"a pickled object (`{custom[0]}`)" if custom else ""
    if name.rpartition("/")[2].startswith(("custom_obj", "opaque_obj")):
        return f"a pickled object (`{name}`)"
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as inner:
            pickles = [inner.read(record) for record in inner.namelist() if record.endswith(".pkl")]
    else:
        pickles = [data] if name.endswith(".pt") and data else []
    for pickled in pickles:
        verdict = allowed_globals(scan_pickle(io.BytesIO(pickled)))
        names = [*verdict.refused, *(name for _, name in verdict.allowed)]
        if names:
            return f"a pickle that uses `{names[0]}`"
    return ""


def _unusual_program(program: dict[str, Any]) -> str:
    for entry in _dictionaries(program):
        found = _unusual_entry(entry)
        if found:
            return found
    symbols = program.get("range_constraints", {})
    unusual = [name for name in symbols if not _SYMBOL.fullmatch(name)]
    return f"a range of `{unusual[0][:60]}`" if unusual else ""


def _unusual_entry(entry: dict[str, Any]) -> str:
    for key, value in entry.items():
        if not isinstance(value, str):
            if key == "forward_arg_names" and not all(str(name).isidentifier() for name in value or ()):
                return "an argument that is not called by a name"
            continue
        if key in ("target", "as_operator"):
            known = _OPERATOR.fullmatch(value) or _ARITHMETIC.fullmatch(value)
            if not known or _REACHES_OUT.search(value):
                return f"the operator `{value[:80]}`"
        elif key == "expr_str":
            if not _is_harmless_expression(value):
                return f"the size expression `{value[:80]}`"
        elif key in _NAME_KEYS:
            if not _NAME.fullmatch(value):
                return f"the name `{value[:80]}`"
        elif key in ("in_spec", "out_spec"):
            found = _unusual_tree(value)
            if found:
                return found
        elif key == "nn_module_stack" and not _is_module_stack(value):
            return f"the module path `{value[:80]}`"
    return ""


def _is_harmless_expression(text: str) -> bool:
    """Whether sympy, which evaluates its input as Python, meets only numbers, symbols and its own functions."""
    if not _EXPRESSION.fullmatch(text) or re.search(r"\.\s*[^\W\d]|__", text):
        return False
    words = re.findall(r"[^\W\d]\w*", text)
    return all(word in _EXPRESSION_WORDS or _SYMBOL.fullmatch(word) for word in words)


def _is_module_stack(text: str) -> bool:
    """Paths become code when the modules are restored; the class after them does not."""
    for level in text.split(";"):
        parts = level.split(",", 2)
        if len(parts) > 1 and not _DOTTED.fullmatch(parts[1].replace("L['self']", "")):
            return False
    return True


def _unusual_tree(text: str) -> str:
    if not text:
        return ""
    for entry in _dictionaries(json.loads(text)):
        kind = entry.get("type")
        if "type" in entry and kind not in _CONTAINERS:
            return f"an input or output of type `{kind}`"
        if isinstance(entry.get("context"), dict):
            return "an input or output container that imports code"
    return ""


def _dictionaries(value: Any) -> Iterator[dict[str, Any]]:
    """Every dictionary inside of JSON data, without recursion."""
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, dict):
            yield current
            pending.extend(current.values())
        elif isinstance(current, list):
            pending.extend(current)
