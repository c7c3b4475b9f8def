"""One thing in the program of a healthy file is different, and torch does not get to see it."""

from __future__ import annotations

import copy
import json

import pytest

from gradflow.errors import LoadError, UntrustedFileError
from gradflow.load.files.exported import load_exported

CODE = "x=open('made_by_the_file','w')"


def graph(program):
    return program["graph_module"]["graph"]


def nodes(program):
    return graph(program)["nodes"]


def node_of(program, target):
    return next(node for node in nodes(program) if target in node["target"])


def inner_graph(program):
    node = node_of(program, "wrap_with_set_grad_enabled")
    return next(argument["arg"]["as_graph"] for argument in node["inputs"] if "as_graph" in argument["arg"])


def signature(program):
    return program["graph_module"]["module_call_graph"][0]["signature"]


def everywhere(program, old, new):
    text = json.dumps(program).replace(json.dumps(old), json.dumps(new))
    program.clear()
    program.update(json.loads(text))


def first_size(program):
    return graph(program)["tensor_values"]["x"]["sizes"][0]["as_expr"]


def tree(kind, context, *children):
    return {"type": kind, "context": context, "children_spec": list(children)}


LEAF = tree(None, None)


def with_input_tree(kind, context):
    def change(program):
        arguments = tree("builtins.tuple", "null", LEAF, tree(kind, context))
        signature(program)["in_spec"] = json.dumps(
            [1, tree("builtins.tuple", "null", arguments, tree("builtins.dict", "[]"))]
        )

    return change


def with_keyword(name):
    def change(program):
        keywords = tree("builtins.dict", json.dumps([name]), LEAF)
        signature(program)["in_spec"] = json.dumps(
            [1, tree("builtins.tuple", "null", tree("builtins.tuple", "null", LEAF), keywords)]
        )
        signature(program)["forward_arg_names"] = ["x", "n"]

    return change


def with_target(target):
    return lambda program: nodes(program)[0].update(target=target)


def with_expression(text):
    return lambda program: first_size(program).update(expr_str=text)


def with_argument(value):
    return lambda program: node_of(program, "reshape")["inputs"].append({"name": "more", "arg": value, "kind": 2})


def test_the_file_without_a_change_loads(changed):
    assert load_exported(changed.program(lambda _: None), trust=False).example_inputs is not None


CODE_IN = {
    "the name of a value": lambda program: everywhere(program, "linear_2", CODE),
    "the name of an input": lambda program: everywhere(program, "x", CODE),
    "the name of a symbolic input": lambda program: everywhere(program, "n", "n=print(1)"),
    "the name of a node": lambda program: nodes(program)[0].update(name=CODE),
    "the name of a graph": lambda program: inner_graph(program).update(name=CODE),
    "a value within a graph": lambda program: everywhere(inner_graph(program), "tanh", CODE),
    "a name with a line break": lambda program: everywhere(program, "linear_2", "linear\n"),
    "a name of another alphabet": lambda program: everywhere(program, "linear_2", "lin\u212aear"),
    "a keyword of Python": lambda program: everywhere(program, "linear_2", "lambda"),
    "a dunder": lambda program: everywhere(program, "linear_2", "__class__"),
    "the name of torch": lambda program: everywhere(program, "x", "torch"),
    "the name of an argument": lambda program: signature(program).update(forward_arg_names=[CODE, "n"]),
    "a keyword of a call": with_keyword("n':1}, print(1), {'n"),
    "a keyword of what runs a graph": lambda program: node_of(program, "wrap_with")["inputs"][0].update(
        name=CODE, kind=2
    ),
    "the fqn of a parameter": lambda program: everywhere(program, "a.weight", 'a.x")(print(1)).weight'),
    "a parameter that hides a method": lambda program: everywhere(program, "a.weight", "a.forward"),
    "a parameter among the modules": lambda program: everywhere(program, "a.weight", "_modules.weight"),
    "the fqn of a module": lambda program: program["graph_module"]["module_call_graph"][1].update(fqn='a");print("'),
    "the modules of an operation": lambda program: nodes(program)[0]["metadata"].update(
        nn_module_stack='L__self__,,net.Net;x,a") or print(",net.A'
    ),
    "a size": with_expression("__import__('os').mkdir('made_by_the_file')"),
    "an attribute of a size": with_expression("Symbol('s0').mro"),
    "a size of an undeclared symbol": with_expression("Symbol('s999', positive=True)"),
    "a symbol that is text": with_expression("Symbol('s0 if print(1) else 0')"),
    "a range": lambda program: program["range_constraints"].update({"().__class__": {"min_val": 1, "max_val": 2}}),
    "a container of another library": with_input_tree("argparse.Namespace", "null"),
    "a container with a factory": with_input_tree(
        "collections.defaultdict",
        {"default_factory_module": "os", "default_factory_name": "getcwd", "dict_context": []},
    ),
    "a container with an enum": with_input_tree(
        "builtins.dict", json.dumps({"__enum__": True, "fqn": "planted:X", "name": "y"})
    ),
    "a named tuple": with_input_tree("collections.namedtuple", "planted.Point"),
    "an operator that opens files": with_target("torch.ops.aten.from_file.default"),
    "its variant": with_target("torch.ops.aten.from_file.out"),
    "an operator that prints": with_target("torch.ops.aten._print.default"),
    "an operator of TorchScript": with_target("torch.ops.aten.save.default"),
    "an operator for code of others": with_target("torch.ops.higher_order.call_torchbind"),
    "an operator that prints what it is told": with_target("torch.ops.higher_order.print"),
    "an operator that repeats": with_target("torch.ops.higher_order.while_loop"),
    "an operator of a package that torch has loaded": with_target("torch.ops.profiler._record_function_enter.default"),
    "a function of torch": with_target("torch.hub.load"),
    "a function of Python": with_target("_operator.methodcaller"),
    "a way around by attributes": with_target("torch.ops.aten.add.Tensor.__class__"),
    "an extension": with_target("#planted:x"),
    "an operator as a value": with_argument({"as_operator": "torch.ops.aten.from_file.default"}),
    "an object as a value": with_argument({"as_custom_obj": {"name": "x", "class_fqn": "y"}}),
    "arithmetic on text": lambda program: node_of(program, "_operator.mul")["inputs"][0].update(arg={"as_string": "a"}),
}  # fmt: skip


@pytest.mark.parametrize("place", CODE_IN)
def test_code_is_refused(changed, place):
    with pytest.raises(UntrustedFileError, match="can run code") as caught:
        load_exported(changed.program(CODE_IN[place]), trust=False)
    assert "--trust" in caught.value.hint
    assert len(caught.value.message) < 300


def nested(depth):
    spec = LEAF
    for _ in range(depth):
        spec = tree("builtins.list", "null", spec)
    return json.dumps([1, spec])


def deeper(program):
    value = 1
    for _ in range(400):
        value = [value]
    program["unknown"] = value


def squares(program):
    node = node_of(program, "_operator.mul")
    output = node["outputs"][0]["as_sym_int"]["as_name"]
    values = graph(program)["sym_int_values"]
    for index in range(40):
        twin = copy.deepcopy(node) | {"name": f"square_{index}"}
        previous = {"as_sym_int": {"as_name": f"square_{index - 1}" if index else output}}
        twin["inputs"] = [{"name": name, "arg": previous, "kind": 1} for name in "ab"]
        twin["outputs"] = [{"as_sym_int": {"as_name": f"square_{index}"}}]
        values[f"square_{index}"] = copy.deepcopy(values[output])
        nodes(program).append(twin)


def power(program):
    node = node_of(program, "_operator.mul")
    node["target"] = "_operator.pow"


TOO_MUCH = {
    "a tower of powers": with_expression("9**9**9**9"),
    "a tower of powers, as sympy writes it": with_expression(
        "Pow(Integer(9), Pow(Integer(9), Pow(Integer(9), Integer(9))))"
    ),
    "powers of powers": with_expression("Pow(" * 12 + "Integer(9)" + ", Integer(8))" * 12),
    "a shift": with_expression("LShift(Integer(1), Integer(99999999999))"),
    "a sum to be multiplied out": with_expression(
        "Pow(Add(" + ", ".join(["Integer(3)", "Mul(Symbol('s77'), Integer(5))"] * 8) + "), Integer(8))"
    ),
    "a long size": with_expression(" + ".join(["1"] * 3000)),
    "nested brackets": with_expression("(" * 90 + "1" + ")" * 90 + "+" + "-" * 60 + "1"),
    "a number of many digits": with_expression("1" * 1000),
    "a symbol that counts far": lambda program: program["range_constraints"].update(
        u99999999999={"min_val": 1, "max_val": 2}
    ),
    "a chain of squares": squares,
    "a power that is computed": power,
    "a deep program": deeper,
    "deep inputs": lambda program: signature(program).update(out_spec=nested(60)),
    "a tensor of many dimensions": lambda program: graph(program)["tensor_values"]["reshape"].update(
        sizes=[{"as_int": 1}] * 1000, strides=[{"as_int": 1}] * 1000
    ),
    "a number of more than 64 bits": with_argument({"as_int": 2**64}),
    "a deep module": lambda program: program["graph_module"]["module_call_graph"][1].update(fqn="a" + ".a" * 100),
}


@pytest.mark.parametrize("place", TOO_MUCH)
def test_what_could_take_forever_is_refused(changed, place):
    symbol = next(iter(json.loads(changed.records()[changed.record("models/model.json")])["range_constraints"]))

    def change(program):
        TOO_MUCH[place](program)
        expression = first_size(program)
        expression["expr_str"] = expression["expr_str"].replace("s77", symbol)

    with pytest.raises(LoadError):
        load_exported(changed.program(change), trust=False)


MISSHAPEN = {
    "a missing field": lambda program: graph(program).pop("nodes"),
    "a list for a program": lambda program: program["graph_module"].update(graph=[]),
    "a text for a number": lambda program: first_size(program).update(hint={"as_int": "3"}),
    "two kinds of one argument": with_argument({"as_int": 1, "as_string": "x"}),
    "an unknown kind of argument": with_argument({"as_code": "x"}),
    "an operator that torch lacks": with_target("torch.ops.aten.not_there.default"),
    "a graph for an operator without": lambda program: node_of(program, "reshape")["inputs"].append(
        {"name": "more", "arg": {"as_graph": copy.deepcopy(inner_graph(program))}, "kind": 2}
    ),
    "strides that are not those of the sizes": lambda program: graph(program)["tensor_values"]["x"].update(strides=[]),
    "a device that there is not": lambda program: graph(program)["tensor_values"]["x"]["device"].update(type="abacus"),
    "a value that is not there": lambda program: nodes(program)[1]["inputs"][0].update(
        arg={"as_tensor": {"name": "nowhere"}}
    ),
    "no first module": lambda program: program["graph_module"].update(module_call_graph=[]),
    "text with control characters": with_argument({"as_string": "\x1b[31m"}),
    "two ranges of one symbol": lambda program: program["range_constraints"].update(
        {f"({name})": value for name, value in program["range_constraints"].items()}
    ),
    "an unknown dialect": lambda program: program.update(verifiers=["NONE"]),
}  # fmt: skip


@pytest.mark.parametrize("place", MISSHAPEN)
def test_what_is_not_a_program_is_one_clear_error(changed, place):
    with pytest.raises(LoadError, match="cannot load"):
        load_exported(changed.program(MISSHAPEN[place]), trust=False)
