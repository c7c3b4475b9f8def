"""Symbolic sizes such as ``Add(Symbol('s0', positive=True, integer=True), Integer(1))``.

Torch gives them to ``sympy.sympify``, which evaluates them as Python, and sympy then simplifies as long as it takes. So
each is parsed here, held against a grammar, estimated, and written anew from what was understood.
"""

from __future__ import annotations

import ast
import re

from gradflow.load.files.exported_program.expression_cost import (
    FUNCTIONS,
    RAISING,
    Cost,
    TooCostly,
    combined,
    raised,
)
from gradflow.load.files.exported_program.offence import AsksTooMuch, RunsCode, shown

__all__ = ["checked_expression", "checked_range_name"]

_MOST_LETTERS = 40_000
_MOST_PARTS = 150  # different ones: sympy keeps what it has simplified
_MOST_LEVELS = 60
_MOST_BITS_STATED = 64

_SYMBOL = re.compile(r"(?:s|u|zf|zuf)\d{1,6}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\d{1,60}\.?\d{0,60}|\.\d{1,60})(?:e[-+]?\d{1,3})?", re.ASCII)
_ASSUMPTIONS = frozenset("integer positive negative nonnegative nonpositive nonzero real finite zero".split())
_CONSTANTS = frozenset(("true", "false", "oo", "int_oo"))
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "Add",
    ast.Sub: "Add",
    ast.Mult: "Mul",
    ast.Div: "IntTrueDiv",
    ast.FloorDiv: "FloorDiv",
    ast.Mod: "Mod",
    ast.Pow: "Pow",
    ast.LShift: "LShift",
    ast.RShift: "RShift",
}
_Costed = tuple[Cost, int]  # and the number of the part: equal parts have the same


def checked_expression(text: str, symbols: frozenset[str]) -> str:
    """The same expression, written anew from what was understood of it.

    ``symbols`` are the names that the program declares a range for.

    Raises
    ------
    RunsCode
        When it is anything but arithmetic on numbers and declared symbols.
    AsksTooMuch
        When sympy could be busy with it for long.
    """
    if len(text) > _MOST_LETTERS:
        raise AsksTooMuch(f"a size expression of {len(text):,} letters")
    try:
        tree = ast.parse(text.encode("ascii").strip(), mode="eval").body
        _Grammar(symbols).visit(tree, 0)
        return ast.unparse(tree)
    except TooCostly as error:
        raise AsksTooMuch(f"the size expression {shown(text)}, which could be simplified without end") from error
    except (_NotASizeError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RunsCode(f"the size expression {shown(text)}") from error


def checked_range_name(name: str) -> str:
    """What a range is declared for, written anew: a symbol, or arithmetic on symbols such as ``2*s0``.

    It is spelled as sympy prints it, because torch looks for the range of a size under that text.

    Raises
    ------
    RunsCode, AsksTooMuch
        As :func:`checked_expression`.
    """
    understood = checked_expression(name, frozenset(re.findall(r"[A-Za-z]\w*", name)))
    return re.sub(r" (\*{1,2}|//?|%) ", r"\1", understood)


class _NotASizeError(Exception):
    """It is not arithmetic on numbers and declared symbols."""


class _Grammar:
    """Accepts what can stand in an expression, and adds up what it costs."""

    def __init__(self, symbols: frozenset[str]) -> None:
        self._symbols = symbols
        self._parts: dict[tuple[object, ...], int] = {}

    def visit(self, node: ast.expr, level: int) -> _Costed:
        """The cost of a part of the expression, ``level`` deep in it."""
        if level > _MOST_LEVELS:
            raise TooCostly
        match node:
            case ast.Constant(value=int() | float() as value):
                return self._number(value)
            case ast.Name(id=name) if name in _CONSTANTS:
                return Cost(), self._part(name)
            case ast.Name(id=name):
                return self._symbol(name)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not(), operand=operand):
                return self.visit(operand, level + 1)
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
                return self._function(_OPERATORS[type(operator)], [left, right], level)
            case ast.Compare(left=left, comparators=[right]):
                return self._function("Eq", [left, right], level)
            case ast.Call(func=ast.Name(id="Symbol"), args=[ast.Constant(value=str(name))], keywords=keywords):
                self._check_assumptions(keywords)
                return self._symbol(name)
            case ast.Call(func=ast.Name(id="Float"), args=[ast.Constant(value=str(digits))], keywords=keywords):
                return self._float(digits, keywords)
            case ast.Call(func=ast.Name(id="Integer" | "Rational"), args=[*numbers], keywords=[]):
                return self._whole_numbers(numbers)
            case ast.Call(func=ast.Name(id=name), args=[_, *_] as arguments, keywords=[]) if name in FUNCTIONS:
                return self._function(name, arguments, level)
        raise _NotASizeError

    def _function(self, name: str, arguments: list[ast.expr], level: int) -> _Costed:
        inner = [self.visit(argument, level + 1) for argument in arguments]
        part = self._part(name, *(number for _, number in inner))
        if name not in RAISING:
            return combined(name, [cost for cost, _ in inner]), part
        if len(inner) != 2:
            raise _NotASizeError
        return raised(name, inner[0][0], _stated_number(arguments[1])), part

    def _part(self, *shape: object) -> int:
        number = self._parts.setdefault(shape, len(self._parts))
        if number > _MOST_PARTS:
            raise TooCostly
        return number

    def _symbol(self, name: str) -> _Costed:
        if not _SYMBOL.fullmatch(name) or name not in self._symbols:
            raise _NotASizeError
        return Cost(symbols=frozenset((name,))), self._part(name)

    def _number(self, value: float) -> _Costed:
        if isinstance(value, int) and value.bit_length() > _MOST_BITS_STATED:
            raise TooCostly
        return Cost(), self._part(value)

    def _whole_numbers(self, numbers: list[ast.expr]) -> _Costed:
        values = [_stated_number(number) for number in numbers]
        if not all(isinstance(value, int) for value in values):
            raise _NotASizeError
        for value in values:
            self._number(value or 0)
        return Cost(), self._part(*values)

    def _float(self, digits: str, keywords: list[ast.keyword]) -> _Costed:
        for keyword in keywords:
            places = _stated_number(keyword.value)
            if keyword.arg not in ("precision", "dps") or not isinstance(places, int) or not 0 < places <= 1000:
                raise _NotASizeError
        if not _FLOAT.fullmatch(digits):
            raise _NotASizeError
        return Cost(), self._part(digits)

    @staticmethod
    def _check_assumptions(keywords: list[ast.keyword]) -> None:
        for keyword in keywords:
            match keyword:
                case ast.keyword(arg=str(name), value=ast.Constant(value=bool())) if name in _ASSUMPTIONS:
                    continue
            raise _NotASizeError


def _stated_number(node: ast.expr) -> float | None:
    """The number that a literal stands for, also as sympy writes it: ``Integer(-2)``, ``Rational(1, 2)``."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _stated_number(operand)
            return None if inner is None else -inner
        case ast.Call(func=ast.Name(id="Integer"), args=[number]):
            return _stated_number(number)
        case ast.Call(func=ast.Name(id="Float"), args=[ast.Constant(value=str(digits))]):
            return float(digits)
        case ast.Call(func=ast.Name(id="Rational"), args=[above, below]):
            numerator, denominator = _stated_number(above), _stated_number(below)
            return None if numerator is None or not denominator else numerator / denominator
    return None
