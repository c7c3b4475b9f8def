"""Instructions of pickles that torch.save never writes, or writes for something else."""

from __future__ import annotations

import struct

import pytest

from tests.attacks.commands import assert_refused, assert_refused_or_harmless
from tests.attacks.opcodes import (
    EMPTY_DICT,
    EMPTY_LIST,
    EMPTY_TUPLE,
    NONE,
    START,
    START_4,
    STOP,
    TRUE,
    call,
    linear,
    listed,
    made,
    mapping,
    meta_tensor,
    module,
    named,
    named_by_stack,
    number,
    ordered,
    parameter,
    raw,
    several,
    storage,
    text,
    with_state,
    write_pickle,
)

MKDIR = named("os", "mkdir")
LINEAR = named("torch.nn.modules.linear", "Linear")
RELU = named("torch.nn.functional", "relu")
SET = named("builtins", "set")

ODD = {
    # instructions
    "INST": lambda path: b"(" + text(path) + b"ios\nmkdir\n",
    "OBJ": lambda path: b"(" + MKDIR + text(path) + b"o",
    "NEWOBJ of a function": lambda path: made(MKDIR, text(path)),
    "NEWOBJ_EX": lambda path: MKDIR + several(text(path)) + EMPTY_DICT + b"\x92",
    "NEWOBJ_EX with keywords": lambda path: LINEAR + EMPTY_TUPLE + mapping([(text("path"), text(path))]) + b"\x92",
    "EXT1": lambda _: b"\x82\x01",
    "EXT2": lambda _: b"\x83\x01\x00" + EMPTY_TUPLE + b"R",
    "EXT4": lambda _: b"\x84\xff\xff\xff\x7f",
    "PERSID": lambda path: b"P" + str(path).encode() + b"\n",
    "BINPERSID of text": lambda path: text(path) + b"Q",
    "BINPERSID of another kind": lambda path: several(text("module"), LINEAR, text(path), text("code")) + b"Q",
    "BINPERSID of a function": lambda path: several(text("storage"), MKDIR, text(path), text("cpu"), number(1)) + b"Q",
    "BINPERSID of a path": lambda _: (
        several(text("storage"), named("torch", "FloatStorage"), text("../version"), text("cpu"), number(1)) + b"Q"
    ),
    "NEXT_BUFFER": lambda _: b"\x97",
    "READONLY_BUFFER": lambda _: raw(b"ab") + b"\x98",
    "GLOBAL without a name": lambda _: b"c\n\n" + EMPTY_TUPLE + b"R",
    "GLOBAL of a relative module": lambda path: call(named(".os", "mkdir"), text(path)),
    "GLOBAL with a space": lambda path: call(named("os mkdir", "mkdir"), text(path)),
    "GLOBAL of a long module": lambda _: module("torch.nn." + "x" * 5000, "Linear"),
    "GLOBAL of a deep module": lambda _: module("torch.nn" + ".x" * 5000, "Linear"),
    "GLOBAL of a long class": lambda _: module("torch.nn.modules.linear", "L" * 70_000),
    "GLOBAL of a module with a null": lambda _: named_by_stack("torch.nn.\0", "Linear") + EMPTY_TUPLE + b"\x81",
    "GLOBAL of a folder above": lambda _: module("torch.nn...os", "mkdir"),
    "GLOBAL of a path": lambda _: module("torch.nn./etc/passwd", "x"),
    "GLOBAL of a program": lambda _: module("torch.nn.__main__", "Main"),
    "GLOBAL of a package of tests": lambda _: module("torchvision.prototype.x", "Main"),
    "STACK_GLOBAL of a call": lambda path: call(MKDIR, text(path)) + text("x") + b"\x93",
    "STACK_GLOBAL of numbers": lambda _: number(1) + number(2) + b"\x93",
    "GET of nothing": lambda _: b"h\x07",
    "PUT of a function": lambda path: MKDIR + b"q\x010h\x01" + several(text(path)) + b"R",
    "DUP of a function": lambda path: MKDIR + b"2" + several(text(path)) + b"R",
    "STRING as Python 2": lambda path: call(MKDIR, b"S'" + str(path).encode() + b"'\n"),
    "another protocol within": lambda path: START_4 + call(MKDIR, text(path)),
    "protocol of the future": lambda _: b"\x80\x63" + linear(),
    "no end mark": lambda _: linear() + b"0" + NONE + b"\x95",
    "something after the end mark": lambda path: linear() + STOP + START + call(MKDIR, text(path)),
    "pop from nothing": lambda _: b"000",
    "mark as a value": lambda _: b"((((",
    "unknown instruction": lambda _: b"\xfe",
    # states
    "state of a class": lambda path: with_state(LINEAR, mapping([(text("forward"), MKDIR)])),
    "state of a class, two parts": lambda _: with_state(LINEAR, several(NONE, mapping([(text("forward"), RELU)]))),
    "state of a function": lambda _: with_state(RELU, mapping([(text("__code__"), NONE)])),
    "state of a function that is held": lambda _: linear(activation=with_state(RELU, mapping([(text("x"), NONE)]))),
    "state of a dtype": lambda _: with_state(named("torch", "float32"), mapping([(text("x"), NONE)])),
    "state of the class of tensors": lambda _: with_state(named("torch", "Tensor"), mapping([(text("__add__"), RELU)])),
    "state of a tensor": lambda _: with_state(meta_tensor(), mapping([(text("backward"), RELU)])),
    "state of a parameter": lambda _: with_state(parameter(meta_tensor()), mapping([(text("data"), NONE)])),
    "state of an ordered dictionary": lambda _: with_state(ordered(), mapping([(text("items"), RELU)])),
    "state of a set": lambda _: with_state(call(SET, EMPTY_LIST), mapping([(text("add"), RELU)])),
    "state of a list": lambda _: with_state(EMPTY_LIST, mapping([(text("append"), RELU)])),
    "state of text": lambda _: with_state(text("x"), mapping([(text("x"), NONE)])),
    "state of a number": lambda _: with_state(number(1), EMPTY_DICT),
    "state that is a list": lambda _: with_state(made(LINEAR), listed(several(text("forward"), RELU))),
    "state twice": lambda _: with_state(linear(), mapping([(text("extra_repr"), RELU)])),
    "state of a partial of something else": lambda path: with_state(
        call(named("functools", "partial"), RELU), several(MKDIR, several(text(path)), EMPTY_DICT, NONE)
    ),
    "state of a partial, twice": lambda _: with_state(
        with_state(call(named("functools", "partial"), RELU), several(RELU, EMPTY_TUPLE, EMPTY_DICT, NONE)),
        several(RELU, EMPTY_TUPLE, EMPTY_DICT, NONE),
    ),
    "attributes of a partial": lambda _: linear(
        x=with_state(
            call(named("functools", "partial"), RELU),
            several(RELU, EMPTY_TUPLE, EMPTY_DICT, mapping([(text("__class__"), LINEAR)])),
        )
    ),
    # items of what is no container
    "item of a class": lambda _: LINEAR + text("forward") + RELU + b"s",
    "item of a tensor": lambda _: meta_tensor() + number(0) + number(1) + b"s",
    "item of a module": lambda _: linear() + text("0") + linear() + b"s",
    "items of text": lambda _: text("x") + b"(" + number(0) + text("y") + b"u",
    "item of a namespace": lambda _: call(named("argparse", "Namespace")) + text("x") + NONE + b"s",
    "append to a module": lambda _: linear() + linear() + b"a",
    "append to a dictionary": lambda _: EMPTY_DICT + NONE + b"a",
    "append to a class": lambda _: LINEAR + b"(" + NONE + b"e",
    "add to a list": lambda _: EMPTY_LIST + b"(" + NONE + b"\x90",
    "key without a value": lambda _: EMPTY_DICT + b"(" + NONE + b"u",
    # calls
    "call of a class of modules": lambda _: call(LINEAR, number(5), number(3)),
    "call of a class of modules, huge": lambda _: call(LINEAR, number(10**6), number(10**6)),
    "call of text": lambda path: call(text("os.mkdir"), text(path)),
    "call of a tensor": lambda _: call(meta_tensor()),
    "call of a module": lambda _: call(linear(), meta_tensor()),
    "call of a dtype": lambda _: call(named("torch", "float32")),
    "call without a tuple": lambda path: MKDIR + listed(text(path)) + b"R",
    "call of the class of tensors": lambda _: call(named("torch", "Tensor"), number(10**9)),
    "call of the class of parameters": lambda _: call(named("torch.nn.parameter", "Parameter"), meta_tensor()),
    "call of a storage class": lambda _: call(named("torch", "FloatStorage"), number(10**10)),
    "call of an activation": lambda _: call(RELU, meta_tensor()),
    "object of the class of modules, with arguments": lambda _: made(LINEAR, number(5), number(3)),
    "object of type": lambda _: made(named("builtins", "type"), text("x"), EMPTY_TUPLE, EMPTY_DICT),
    "object of the class of tensors": lambda _: made(named("torch", "Tensor")),
    "object of a dictionary": lambda _: made(named("builtins", "dict")),
    "reconstructor of a module": lambda _: call(
        named("copyreg", "_reconstructor"), LINEAR, named("builtins", "object"), NONE
    ),
    "storage as a value": lambda _: mapping([(text("x"), storage("0", 0))]),
    "function as a value": lambda _: MKDIR,
    "class as a value": lambda _: named("torch.nn.modules.module", "Module"),
    "function as a key": lambda _: mapping([(RELU, NONE)]),
    "module as a key": lambda _: mapping([(linear(), NONE)]),
    "tensor as a member of a set": lambda _: call(SET, listed(meta_tensor())),
    # classes that bring code along
    "GraphModule": lambda _: module("torch.fx.graph_module", "GraphModule", _code=text("x")),
    "ScriptModule": lambda _: module("torch.jit._script", "RecursiveScriptModule"),
    "Module of torch.ao": lambda _: module("torch.ao.nn.quantized.modules.linear", "Linear"),
    "Optimizer": lambda _: with_state(made(named("torch.optim.sgd", "SGD")), mapping([(text("state"), EMPTY_DICT)])),
    "module of the user": lambda _: module("net", "Net"),
    "module of gradflow": lambda _: module("gradflow.errors", "GradflowError"),
    "exception": lambda _: made(named("builtins", "SystemExit"), number(0)),
    "true": lambda _: TRUE,
}


MAY_BE_READ = ("something after the end mark", "protocol of the future")


@pytest.mark.parametrize("case", ODD)
def test_an_odd_instruction_runs_nothing(cli, tmp_path, canary, net, case):
    source = net.read_text(encoding="utf-8")
    net.write_text(source + f"\nopen({str(canary)!r}, 'w')\n", encoding="utf-8")
    write_pickle(tmp_path / "m.pt", ODD[case](canary))
    before = sorted(tmp_path.iterdir())
    done = cli("check", "m.pt", "--layer", "auto", "--input-shape", "1,5", timeout=10)
    (assert_refused_or_harmless if case in MAY_BE_READ else assert_refused)(done, canary)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("version", [0, 1, 3, 4, 5])
def test_no_protocol_calls(cli, tmp_path, canary, version):
    start = bytes((0x80, version)) if version > 1 else b""
    write_pickle(tmp_path / "m.pt", call(MKDIR, text(canary)), start)
    assert_refused(cli("layers", "m.pt"), canary)


def test_a_long_pickle_of_small_frames_is_looked_through(cli, tmp_path, canary):
    """In protocol 4 each frame says how long it is; one that lies hides nothing."""
    inner = call(MKDIR, text(canary))
    for length in (0, 3, len(inner), 2**40):
        write_pickle(tmp_path / "m.pt", b"\x95" + struct.pack("<Q", length) + inner, START_4)
        assert_refused(cli("layers", "m.pt"), canary)
