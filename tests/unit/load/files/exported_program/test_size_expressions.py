"""The grammar of symbolic sizes, and what they may cost."""

from __future__ import annotations

import re

import pytest
import sympy

from gradflow.load.files.exported_program.offence import AsksTooMuch, RunsCode
from gradflow.load.files.exported_program.size_expressions import checked_expression, checked_range_name

S0 = "Symbol('s0', positive=True, integer=True)"
SYMBOLS = frozenset(("s0", "s1", "u0", "zuf0"))


@pytest.mark.parametrize(
    "text",
    [
        S0,
        f"Add({S0}, Integer(-1))",
        f"Mul(Integer(2), FloorDiv(Add({S0}, Integer(-3)), Integer(2)))",
        f"Max(Integer(1), TruncToInt(Mul(Float('1.5', precision=53), ToFloat({S0}))))",
        f"Pow({S0}, Rational(1, 2))",
        "FloatPow(Add(Symbol('zuf0'), Float('1.0', precision=53)), Float('2.0', precision=53))",
        "GreaterThan(Symbol('u0', integer=True), Integer(0))",
        "LShift(Symbol('u0', integer=True), Integer(3))",
        "s0 + 2*s1",
        "(s0 - 1)//2 + 1",
        "s0 % 8",
        "-s0**2",
        "s0 >= 2",
        "Mod(s0, s1)",
        "true",
        "9223372036854775807",
    ],
)
def test_arithmetic_on_declared_symbols_is_kept(text):
    kept = checked_expression(text, SYMBOLS)
    assert checked_expression(kept, SYMBOLS) == kept
    assert re.sub(r"[ ()]", "", kept) == re.sub(r"[ ()]", "", text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s2",
        "Symbol('s2')",
        "Symbol('s0', integer=1)",
        "Symbol('s0', commutative=True)",
        "Symbol('s0 ')",
        "Symbol(s0)",
        "Symbol('s0').name",
        "Add",
        "Add()",
        "Pow(s0)",
        "Function('f')(s0)",
        "eval('1')",
        "lambda: 1",
        "[s0]",
        "s0 if s0 else 1",
        "(s0 := 3)",
        "f'{s0}'",
        "'s0'",
        "Integer('3')",
        "Integer(s0)",
        "Float('1.0', precision=99999)",
        "Float('1_0')",
        "Float('.')",
        "Add(*[s0])",
        "Add(s0, evaluate=False)",
        "1j",
        "None",
        "s0 @ s1",
        "s0\n+ 1; print(1)",
        "\uff530",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(RunsCode):
        checked_expression(text, SYMBOLS)


@pytest.mark.parametrize(
    ("enough", "too_much"),
    [
        ("s0**8", "s0**9"),
        ("2**8", "2**s0"),
        ("Pow(s0, Integer(8))", "Pow(s0, Integer(800))"),
        ("s0 << 63", "s0 << 64"),
        ("(s0 + s1)**4", "(s0 + s1)**6"),
        ("18446744073709551615", "18446744073709551616"),
        ("Max(s0, 1, 2, 3, 4)", f"Max({', '.join(map(str, range(9)))})"),
        ("Mod(" * 30 + "s0" + ", 7)" * 30, "Mod(" * 33 + "s0" + ", 7)" * 33),
        ("Mod(" * 15 + "s0 + s1" + ", 7)" * 15, "Mod(" * 17 + "s0 + s1" + ", 7)" * 17),
        ("Pow(Pow(s0, 4), 4)", "Pow(Pow(Pow(s0, 4), 4), 4)"),
    ],
)
def test_what_sympy_could_be_busy_with_is_refused(enough, too_much):
    checked_expression(enough, SYMBOLS)
    with pytest.raises(AsksTooMuch):
        checked_expression(too_much, SYMBOLS)


def test_a_part_that_is_repeated_counts_once():
    once = "Add(" + ", ".join(f"Mod(s0, {number})" for number in range(2, 32)) + ")"
    checked_expression(once, SYMBOLS)
    checked_expression(f"Min(Identity({once}), Identity({once}), Identity({once}))", SYMBOLS)
    with pytest.raises(AsksTooMuch):
        checked_expression("Add(" + ", ".join(f"Identity(Mod(s0, {number}))" for number in range(60)) + ")", SYMBOLS)


@pytest.mark.parametrize("name", ["s17", "2*s17", "s17 + 1", "2*s17 - 3", "s17**2", "s17//2"])
def test_a_range_has_the_name_under_which_torch_looks_for_it(name):
    symbol = sympy.Symbol("s17", positive=True, integer=True)
    assert checked_range_name(name) == name
    if "//" not in name:  # which sympy has no operator for
        assert checked_range_name(name) == str(sympy.sympify(name, locals={"s17": symbol}))


@pytest.mark.parametrize("name", [" s17", "(s17)", "s17 # no comment", "\ts17\n"])
def test_the_name_of_a_range_is_what_was_understood_of_it(name):
    assert checked_range_name(name) == "s17"


def test_a_range_of_something_else_is_refused():
    with pytest.raises(RunsCode):
        checked_range_name("s17.name")
