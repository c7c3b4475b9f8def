"""JSON, names, trees, operators and stacks of modules: each has its near miss."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys

import pytest
import torch
from torch import nn
from torch._export.serde import schema

from gradflow.load.files.exported_program.module_stack import checked_module_stack
from gradflow.load.files.exported_program.names import (
    _taken_names,
    checked_module_path,
    checked_text,
    is_identifier,
)
from gradflow.load.files.exported_program.offence import AsksTooMuch, Misshapen, NeedsPackage, Offence, RunsCode, shown
from gradflow.load.files.exported_program.operators import checked_operator
from gradflow.load.files.exported_program.program import _rules
from gradflow.load.files.exported_program.strict_json import MOST_DEPTH, parse_json
from gradflow.load.files.exported_program.tree_specs import checked_input_spec, checked_output_spec

LEAF = {"type": None, "context": None, "children_spec": []}


def spec(kind, context, *children):
    return json.dumps([1, {"type": kind, "context": context, "children_spec": list(children)}])


def test_json_of_torch_is_read():
    assert parse_json(b'{"a": [1, -2.5, null, true, "x"]}', "it") == {"a": [1, -2.5, None, True, "x"]}
    assert parse_json("[" * MOST_DEPTH + "]" * MOST_DEPTH, "it")
    assert parse_json(str(-(2**63)), "it") == -(2**63)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1), AsksTooMuch),
        ("[" * 100_000, AsksTooMuch),
        ('{"a":' * 100_000, AsksTooMuch),
        (str(2**63), AsksTooMuch),
        ("9" * 10_000, AsksTooMuch),
        ('{"a": 1, "a": 2}', Misshapen),
        ('{"a": 1, "\\u0061": 2}', Misshapen),
        ("NaN", Misshapen),
        ("{", Misshapen),
        (b"\xff\xfe", Misshapen),
        ("", Misshapen),
    ],
)
def test_json_that_readers_could_take_differently_is_refused(text, kind):
    with pytest.raises(kind):
        parse_json(text, "it")


@pytest.mark.parametrize("name", ["x", "_x1", "input", "p_layer1_0_weight", "device_1", "print"])
def test_a_name_of_a_value(name):
    assert is_identifier(name)


@pytest.mark.parametrize(
    "name", ["", "1x", "x y", "x.y", "x\n", "class", "None", "__class__", "torch", "self", "é", "x" * 1001]
)
def test_what_is_no_name_of_a_value(name):
    assert not is_identifier(name)


def test_what_generated_source_relies_on_is_no_name_of_a_value():
    """Asked of torch: where it renames one, or adds one, this is the place to look at what the source holds now."""
    relied_on = {"self", "getattr", "torch", "device", "inf", "nan", "NoneType", "fx_pytree", "pytree"}
    assert _taken_names() == relied_on
    assert not any(map(is_identifier, relied_on))


def test_a_name_that_is_not_taken_hides_nothing_from_generated_source():
    """And one that is taken would: torch itself does not keep a flat program apart from its inputs."""

    def run(name):
        graph = torch.fx.Graph(tracer_cls=None)
        value = graph.placeholder(name)
        value.name = name
        filled = graph.call_function(torch.ops.aten.full.default, ([1], float("inf")), {"device": torch.device("cpu")})
        graph.output(graph.call_function(torch.ops.aten.add.Tensor, (value, filled)))
        return torch.fx.GraphModule(nn.Module(), graph)(torch.ones(1))

    assert run("input").isinf()
    for name in ("device", "torch"):
        with pytest.raises((TypeError, AttributeError)):
            run(name)


@pytest.mark.parametrize(
    "path", ["", "a", "layer1.0.bn-2", "named.a b", "m@1.0@12", "3x3", "attn.lifted_tensor_0", "print", "graph"]
)
def test_a_module_path(path):
    assert checked_module_path(path) == path


@pytest.mark.parametrize(
    "path",
    [".", "a.", "a..b", "a@", "a@x", "a@1@2", 'a"', "a\\", "a\n", "a(", "é", "__dict__", "a.__class__", "a.lambda",
     "forward", "a.parameters", "_modules", "training@1", "a" + ".a" * 64],
)  # fmt: skip
def test_what_is_no_module_path(path):
    with pytest.raises(Offence):
        checked_module_path(path)


def test_text_for_operators():
    assert checked_text("bij,bjk->bik") == "bij,bjk->bik"
    with pytest.raises(Misshapen):
        checked_text("\x1b[2J")
    with pytest.raises(AsksTooMuch):
        checked_text("x" * 200_000)


def test_what_is_shown_of_a_file_is_short_and_printable():
    assert shown("\x1b[2J`x") == r"`\x1b[2J'x`"
    assert shown("\u202e##[error]") == r"`\u202e\x23#[error]`"
    assert shown({"a": "\n"}) == r"`{'a': '\n'}`"
    assert shown("żółw") == "`żółw`"
    assert len(shown("x" * 1000)) == len(shown("\x1b" * 1000)) == 82


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([1, LEAF]),
        spec("builtins.tuple", "null", LEAF),
        spec("builtins.dict", '["a key", 3]', LEAF, LEAF),
        spec("collections.OrderedDict", '["z"]', LEAF),
        spec("collections.deque", "4", LEAF),
        spec("torch.Size", "null", LEAF),
    ],
)
def test_a_tree_of_containers_is_written_anew(text):
    assert json.loads(checked_output_spec(text)) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        json.dumps([2, LEAF]),
        json.dumps([1, LEAF, LEAF]),
        json.dumps([1, LEAF | {"more": 1}]),
        json.dumps([1, {"type": None, "context": "x", "children_spec": []}]),
        spec("builtins.dict", '["a"]'),
        spec("builtins.dict", '["a", "a"]', LEAF, LEAF),
        spec("builtins.dict", '[["a"]]', LEAF),
        spec("builtins.dict", '[{"__enum__": true, "fqn": "os:x", "name": "y"}]', LEAF),
        spec("builtins.dict", {"__enum__": True}),
        spec("collections.deque", "-1"),
        spec("collections.namedtuple", "x.Y", LEAF),
        spec("collections.defaultdict", {"default_factory_module": "os"}, LEAF),
        spec("os.PathLike", "null"),
        spec(["builtins.list"], "null"),
    ],
)
def test_any_other_tree_is_refused(text):
    with pytest.raises(Offence):
        checked_output_spec(text)


def test_keywords_of_a_call_are_names():
    def call(name):
        arguments = json.loads(spec("builtins.tuple", "null"))[1]
        return spec("builtins.tuple", "null", arguments, json.loads(spec("builtins.dict", json.dumps([name]), LEAF))[1])

    assert checked_input_spec(call("mask"))
    with pytest.raises(RunsCode):
        checked_input_spec(call("a key"))
    assert checked_output_spec(call("a key"))


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("torch.ops.aten.add.Tensor", "operator"),
        ("torch.ops.aten.einsum.default", "operator"),
        ("torch.ops.aten._assert_scalar.default", "operator"),
        ("torch.ops.aten.__and__.Scalar", "operator"),
        ("torch.ops.prims.convert_element_type.default", "operator"),
        pytest.param(
            "torch.ops.torchvision.roi_align.default",
            "operator",
            marks=pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="needs torchvision"),
        ),
        ("torch.ops.higher_order.cond", "higher-order"),
        ("_operator.add", "arithmetic"),
        ("math.trunc", "arithmetic"),
        ("torch.sym_max", "arithmetic"),
    ],
)
def test_an_operator_that_computes(target, kind):
    assert checked_operator(target) == kind


@pytest.mark.parametrize(
    "target",
    ["torch.ops.aten.from_file.default", "torch.ops.aten.from_file.out", "torch.ops.aten._print.default",
     "torch.ops.aten.save.default", "torch.ops.aten.add", "torch.ops.aten.add.Tensor ",
     "torch.ops.aten.add.Tensor.name",
     "torch.ops.prim.Print.default", "torch.ops.c10d.send.default", "torch.ops.higher_order.map_impl",
     "torch.ops.load_library", "torch.load", "torch.sym_max.__class__", "torch.sym_sum", "math.pow", "_operator.call",
     "_operator.attrgetter", "builtins.eval", "#x:y", "", "x"],
)  # fmt: skip
def test_an_operator_that_may_do_more_is_refused(target):
    with pytest.raises(RunsCode):
        checked_operator(target)


def test_an_operator_of_a_package_that_is_missing_needs_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.ops", None)
    checked_operator.cache_clear()
    with pytest.raises(NeedsPackage) as caught:
        checked_operator("torch.ops.torchvision.nms.default")
    assert caught.value.package == "torchvision"
    assert checked_operator("torch.ops.aten.relu.default") == "operator"


def test_a_stack_of_modules_keeps_all_but_odd_classes():
    stack = "L__self__,,net.Net;L__self__a@1,a.0@1,net.f.<locals>.A"
    assert checked_module_stack(stack) == stack
    assert checked_module_stack("L['self'].a,L['self'].a,net.A[(x)]") == "L['self'].a,L['self'].a,torch.nn.Module"


@pytest.mark.parametrize(
    "stack", [None, "", "x", "x,y", 'x,a"b,z', "x,__class__,z", "\n,a,z", ";".join(["x,a,z"] * 65)]
)
def test_a_stack_of_modules_that_is_none(stack):
    with pytest.raises(Offence):
        checked_module_stack(stack)


def test_every_rule_is_for_a_field_that_torch_has():
    rules = _rules(frozenset())
    for place in (*rules.texts, *rules.keys, *rules.whole):
        owner, _, field = place.partition(".")
        assert field in {known.name for known in dataclasses.fields(getattr(schema, owner))}, place
    for owner in rules.made:
        assert dataclasses.is_dataclass(getattr(schema, owner))
