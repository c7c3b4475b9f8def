"""Numbers that a program computes with stay short, also through the graphs that it runs."""

from __future__ import annotations

import pytest

from gradflow.load.files.exported_program.number_lengths import check_numbers
from gradflow.load.files.exported_program.offence import AsksTooMuch, RunsCode


def symbol(name):
    return {"as_sym_int": {"as_name": name}}


def node(target, output, *arguments):
    inputs = [{"name": "", "arg": argument} for argument in arguments]
    return {"target": target, "inputs": inputs, "outputs": [symbol(output)]}


def graph(*nodes):
    return {"inputs": [symbol("n")], "nodes": list(nodes)}


def squares(count):
    return [node("_operator.mul", f"n{i}", symbol(f"n{i - 1}"), symbol(f"n{i - 1}")) for i in range(1, count + 1)]


def within(target, output, inner, argument):
    return node(target, output, {"as_bool": True}, {"as_graph": {"name": "inner", "graph": inner}}, symbol(argument))


GRAD = "torch.ops.higher_order.wrap_with_set_grad_enabled"


def test_sizes_are_multiplied_and_shifted():
    product = [node("_operator.mul", f"p{i}", symbol(f"p{i - 1}"), symbol("n")) for i in range(1, 9)]
    assert check_numbers(graph(*product)) == 9 * 64
    assert check_numbers(graph(node("_operator.pow", "x", symbol("n"), {"as_int": 2}))) == 128
    assert check_numbers(graph(node("_operator.lshift", "x", symbol("n"), {"as_sym_int": {"as_int": 3}}))) == 67
    assert check_numbers(graph(node("_operator.pow", "x", {"as_sym_float": {"as_name": "f"}}, symbol("n")))) == 1024
    assert check_numbers(graph(node("torch.ops.aten.sym_size.int", "x", symbol("n")))) == 64


def test_a_chain_of_squares_is_refused():
    check_numbers(graph(*squares(9)))
    with pytest.raises(AsksTooMuch):
        check_numbers(graph(*squares(12)))


@pytest.mark.parametrize("by", [{"as_int": 9}, {"as_int": -9}, symbol("n"), {"as_bool": True}])
def test_a_power_is_stated_and_small(by):
    with pytest.raises(AsksTooMuch):
        check_numbers(graph(node("_operator.pow", "x", symbol("n"), by)))


def test_arithmetic_is_on_numbers():
    with pytest.raises(RunsCode):
        check_numbers(graph(node("_operator.mul", "x", {"as_string": "a"}, {"as_int": 10**12})))
    with pytest.raises(RunsCode):
        check_numbers(graph(node("_operator.mul", "x", {"as_ints": [1]}, {"as_int": 10**12})))


def test_numbers_are_followed_into_graphs_and_out_of_them():
    inner = graph(node("_operator.mul", "m", symbol("n"), symbol("n")))
    assert check_numbers(graph(*squares(4), within(GRAD, "out", inner, "n4"))) == 2**5 * 64
    nested = inner
    for _ in range(12):
        nested = graph(within(GRAD, "out", nested, "n"), node("_operator.mul", "m", symbol("out"), symbol("out")))
    with pytest.raises(AsksTooMuch):
        check_numbers(nested)
