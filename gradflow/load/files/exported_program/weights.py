"""Weights and constants: what a configuration says of each, held against the bytes that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from torch._export.serde import schema, serialize

from gradflow.load.files.archive import Archive
from gradflow.load.files.exported_program.graphs import check_dimensions
from gradflow.load.files.exported_program.names import checked_module_path
from gradflow.load.files.exported_program.offence import AsksTooMuch, Misshapen, RunsCode, shown
from gradflow.load.files.exported_program.program import checked_device
from gradflow.load.files.exported_program.strict_json import parse_json
from gradflow.load.files.exported_program.structure import Rules, rebuilt
from gradflow.load.files.limits import MOST_PROGRAM_BYTES, MOST_SPREAD_BYTES

__all__ = ["checked_payloads"]

_PAYLOAD = re.compile(r"(?:weight|tensor)_[0-9]{1,9}")
_LARGEST = 2**48  # elements: of a dimension, a stride, an offset, and of a whole tensor


def checked_payloads(archive: Archive, folder: str, config_name: str) -> tuple[bytes, frozenset[str]]:
    """The configuration written anew, and the records of ``folder`` that it refers to.

    Raises
    ------
    RunsCode
        When a payload is a pickle.
    Misshapen
        When a tensor reaches beyond its record, or one record is to have two types.
    AsksTooMuch
        When tensors repeat what is in the file beyond measure.
    LoadError
        When the configuration, or a record that it names, is not in the archive.
    """
    rules = Rules(
        texts={"PayloadMeta.path_name": _checked_payload_name, "Device.type": checked_device},
        keys={"PayloadConfig.config": checked_module_path},
        whole={},
        made={"TensorMeta": check_dimensions},
    )
    config = rebuilt(
        schema.PayloadConfig, parse_json(archive.read(config_name, MOST_PROGRAM_BYTES), "a list of weights"), rules
    )
    types: dict[str, int] = {}
    apart: dict[tuple[Any, ...], int] = {}
    for path, payload in config["config"].items():
        record, meta = folder + payload["path_name"], payload["tensor_meta"]
        if payload["use_pickle"] or meta is None:
            raise RunsCode(f"a pickled object in place of {shown(path)}")
        if types.setdefault(record, meta["dtype"]) != meta["dtype"]:
            raise Misshapen(f"two types for the record {shown(record)}")
        layout, size = _layout(path, meta)
        _check_reach(path, layout, size, archive.size(record))
        apart[record, *layout] = _count(layout[0]) * size
    held = sum(archive.size(record) for record in types)
    if sum(apart.values()) > held + MOST_SPREAD_BYTES:
        raise AsksTooMuch(f"tensors of {sum(apart.values()):,} bytes in records of {held:,}")
    return json.dumps(config).encode(), frozenset(types)


def _layout(path: str, meta: Mapping[str, Any]) -> tuple[tuple[tuple[int, ...], tuple[int, ...], int], int]:
    """``(sizes, strides, offset)`` in elements, and the bytes of an element."""
    sizes, strides = (tuple(_stated(path, one) for one in meta[key]) for key in ("sizes", "strides"))
    if meta["layout"] != schema.Layout.Strided or meta["dtype"] == schema.ScalarType.UNKNOWN:
        raise Misshapen(f"a layout or type that cannot be read for {shown(path)}")
    dtype = serialize.deserialize_scalar_type(schema.ScalarType(meta["dtype"]))
    return (sizes, strides, _stated(path, meta["storage_offset"])), dtype.itemsize


def _stated(path: str, size: Mapping[str, Any]) -> int:
    value = size.get("as_int")
    if value is None or not 0 <= value < _LARGEST:
        raise Misshapen(f"the size {shown(size)} for {shown(path)}")
    return int(value)


def _check_reach(path: str, layout: tuple[tuple[int, ...], tuple[int, ...], int], size: int, held: int) -> None:
    sizes, strides, offset = layout
    needed = 0
    if _count(sizes):
        needed = (offset + sum((one - 1) * stride for one, stride in zip(sizes, strides, strict=True)) + 1) * size
    if needed > held or held % size:
        raise Misshapen(f"{held:,} bytes where {shown(path)} needs {needed:,}")


def _count(sizes: tuple[int, ...]) -> int:
    count = 1
    for size in sizes:
        count *= size
    return count


def _checked_payload_name(name: str) -> str:
    if not _PAYLOAD.fullmatch(name):
        raise RunsCode(f"a pickled object ({shown(name)})")
    return name
