"""How long the whole numbers may become that a program computes with when it runs.

Python's numbers have no largest one: a chain of forty squares would fill any memory. So the length of each is followed
through the graph, and through the graphs that it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gradflow.load.files.exported_program.offence import AsksTooMuch, RunsCode, shown
from gradflow.load.files.exported_program.operators import checked_operator

__all__ = ["check_numbers"]

_MOST_BITS = 2**16
_MOST_POWER = 8
_MOST_SHIFT = 63
_SIZE_BITS = 64
_FLOAT_BITS = 1024  # of the largest float, when it is made a whole number
_FLOATS = frozenset(("as_float", "as_sym_float"))
_SYMBOLIC = frozenset(("as_sym_int", "as_sym_float", "as_sym_bool"))
_NUMBERS = _SYMBOLIC | {"as_int", "as_float", "as_bool"}


def check_numbers(graph: Mapping[str, Any], given_bits: int = _SIZE_BITS) -> int:
    """The length of the longest number in a graph, in bits, where its inputs have at most ``given_bits``.

    The graph has been rebuilt by torch's schema.

    Raises
    ------
    RunsCode
        When arithmetic is asked of anything but numbers.
    AsksTooMuch
        When a number could grow without bound.
    """
    bits = {_name(argument): given_bits for argument in graph["inputs"]}
    for node in graph["nodes"]:
        arguments = [argument["arg"] for argument in node["inputs"]]
        kind = checked_operator(node["target"])
        if kind == "arithmetic":
            longest = _arithmetic(node["target"], arguments, bits)
        elif kind == "higher-order":
            given = max((_length(argument, bits) for argument in arguments), default=_SIZE_BITS)
            inner = [argument["as_graph"]["graph"] for argument in arguments if "as_graph" in argument]
            longest = max((check_numbers(one, given) for one in inner), default=given)
        else:
            longest = _SIZE_BITS  # what torch itself gives is a size, or an element of a tensor
        if longest > _MOST_BITS:
            raise AsksTooMuch("arithmetic whose numbers could become longer than memory")
        bits |= {_name(output): longest for output in node["outputs"]}
    return max(bits.values(), default=_SIZE_BITS)


def _arithmetic(target: str, arguments: Sequence[Mapping[str, Any]], bits: Mapping[str, int]) -> int:
    if not all(set(argument) <= _NUMBERS for argument in arguments):
        raise RunsCode(f"arithmetic on something other than numbers: {shown(target)}")
    lengths = [_length(argument, bits) for argument in arguments]
    longest = max(lengths, default=_SIZE_BITS)
    if any(_FLOATS & set(argument) for argument in arguments):
        return max(longest, _FLOAT_BITS)
    operation = target.rpartition(".")[2]
    if operation == "mul":
        return sum(lengths)
    if operation == "pow":
        return longest * max(_stated(target, arguments, _MOST_POWER), 1)
    if operation == "lshift":
        return longest + _stated(target, arguments, _MOST_SHIFT)
    return longest + 1


def _length(argument: Mapping[str, Any], bits: Mapping[str, int]) -> int:
    if _FLOATS & set(argument):
        return _FLOAT_BITS
    return bits.get(_name(argument), _SIZE_BITS) if _SYMBOLIC & set(argument) else _SIZE_BITS


def _name(argument: Mapping[str, Any]) -> str:
    """The value that a symbolic argument stands for; empty for everything else."""
    value = next(iter(argument.values()))
    return str(value.get("as_name", "")) if isinstance(value, dict) else ""


def _stated(target: str, arguments: Sequence[Mapping[str, Any]], most: int) -> int:
    """The exponent or shift, which the file must state and not compute."""
    match arguments:
        case [_, {"as_int": by} | {"as_sym_int": {"as_int": by}}] if abs(by) <= most:
            return int(abs(by))
    raise AsksTooMuch(f"arithmetic whose numbers could become longer than memory: {shown(target)}")
