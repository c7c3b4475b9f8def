"""The program itself, ``models/model.json``: checked field by field, and written anew from what was checked."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import torch
from torch._export.serde import schema

from gradflow.load.files.exported_program.graphs import check_dimensions, check_graph
from gradflow.load.files.exported_program.module_stack import checked_module_stack
from gradflow.load.files.exported_program.names import checked_module_path, checked_text
from gradflow.load.files.exported_program.number_lengths import check_numbers
from gradflow.load.files.exported_program.offence import Misshapen, RunsCode, shown
from gradflow.load.files.exported_program.operators import checked_operator
from gradflow.load.files.exported_program.size_expressions import checked_expression, checked_range_name
from gradflow.load.files.exported_program.strict_json import parse_json
from gradflow.load.files.exported_program.structure import Rules, rebuilt
from gradflow.load.files.exported_program.tree_specs import checked_input_spec, checked_output_spec

__all__ = ["checked_device", "checked_program"]

_DIALECT = re.compile(r"[A-Z_]{0,20}")


def checked_program(data: bytes) -> bytes:
    """The JSON of the same program, without what torch does not need in order to run it.

    Left out are stack traces and other notes of the exporter, and guards, which torch would run as Python.

    Raises
    ------
    RunsCode
        When something in it could become code.
    AsksTooMuch
        When something in it could take more time or memory than it is worth.
    Misshapen
        When it is not what ``torch.export.save`` writes.
    """
    found = parse_json(data, "a program")
    if not isinstance(found, dict):
        raise Misshapen("a program that is no JSON object")
    symbols = found.get("range_constraints")
    rules = _rules(frozenset(symbols if isinstance(symbols, dict) else ()))
    program = rebuilt(schema.ExportedProgram, found, rules)
    check_numbers(program["graph_module"]["graph"])
    return json.dumps(program).encode()


@functools.cache
def checked_device(kind: str) -> str:
    """The kind of a device, such as ``cpu``."""
    try:
        torch.device(kind if kind.isalpha() else "")
    except RuntimeError as error:
        raise Misshapen(f"the device {shown(kind)}, which torch {torch.__version__} does not have") from error
    return kind


def _rules(symbols: frozenset[str]) -> Rules:
    return Rules(
        texts={
            "Node.target": _operator_name,
            "NamedArgument.name": _argument_name,
            "Argument.as_string": checked_text,
            "Argument.as_strings": checked_text,
            "ConstantValue.as_string": checked_text,
            "Device.type": checked_device,
            "SymExpr.expr_str": functools.cache(lambda text: checked_expression(text, symbols)),
            "InputToParameterSpec.parameter_name": checked_module_path,
            "InputToBufferSpec.buffer_name": checked_module_path,
            "InputToTensorConstantSpec.tensor_constant_name": checked_module_path,
            "BufferMutationSpec.buffer_name": checked_module_path,
            "ParameterMutationSpec.parameter_name": checked_module_path,
            "GradientToParameterSpec.parameter_name": checked_module_path,
            "ModuleCallEntry.fqn": checked_module_path,
            "ModuleCallSignature.in_spec": checked_input_spec,
            "ModuleCallSignature.out_spec": checked_output_spec,
            "ExportedProgram.verifiers": _checked_dialect,
        },
        keys={"ExportedProgram.range_constraints": checked_range_name},
        whole={
            "Argument.as_custom_obj": _refused("a pickled object as an argument"),
            "Argument.as_operator": _refused("an operator as an argument"),
            "Argument.as_string_to_argument": _refused("a dictionary as an argument"),
            "InputSpec.custom_obj": _refused("a pickled object as an input"),
            "InputSpec.token": _refused("an input that orders side effects"),
            "OutputSpec.token": _refused("an output that orders side effects"),
            "Graph.custom_obj_values": lambda value: {} if not value else _refuse("a pickled object as a value"),
            "Node.metadata": _kept_notes,
            "GraphModule.metadata": lambda _: {},
            "GraphModule.treespec_namedtuple_fields": lambda _: {},
            "ExportedProgram.guards_code": lambda _: [],
            "ExportedProgram.torch_version": lambda _: "",
        },
        made={"Graph": check_graph, "TensorMeta": check_dimensions},
    )


def _kept_notes(metadata: Any) -> dict[str, str]:
    """Of an operation's notes, the modules that it ran in: they are restored from it."""
    if not isinstance(metadata, dict):
        raise Misshapen(f"{shown(metadata)} where the notes of an operation belong")
    stack = metadata.get("nn_module_stack")
    if stack is None or stack == "":
        return {}
    return {"nn_module_stack": checked_module_stack(stack)}


def _operator_name(target: str) -> str:
    checked_operator(target)
    return target


def _argument_name(name: str) -> str:
    """As in the operator's schema, where some arguments are called `self` or `from`; empty where it has none."""
    if not re.fullmatch(r"[A-Za-z0-9_]{0,200}", name):
        raise RunsCode(f"the name {shown(name)}")
    return name


def _checked_dialect(name: str) -> str:
    if not _DIALECT.fullmatch(name):
        raise Misshapen(f"a program of the kind {shown(name)}")
    return name


def _refused(what: str) -> Any:
    return lambda _: _refuse(what)


def _refuse(what: str) -> Any:
    raise RunsCode(what)
