"""A small file does not take the memory or the time of the machine, and a picture is no program."""

from __future__ import annotations

import json
import os
import struct
import zipfile

import pytest
import torch
from torch import nn

from tests.attacks.archives import record_name, records, write_records
from tests.attacks.commands import assert_one_error, assert_refused, assert_refused_without_memory
from tests.attacks.opcodes import call, linear, named, number, write_pickle


def test_a_picture_that_is_a_program_is_not_run(cli, tmp_path, net, canary):
    """Pillow would hand an EPS to Ghostscript, whatever its name."""
    (tmp_path / "photo.jpg").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\n0 0 32 32 rectfill showpage\n"
    )
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "gs"
    program.write_text(f"#!/bin/sh\ntouch {canary}\nexit 0\n", encoding="utf-8")
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    assert_refused(cli("check", "net.py:Picture", "--layer", "c", "--image", "photo.jpg", env={"PATH": path}), canary)


LITTLE_MEMORY = 640 * 1024**2
BOMBS = {
    "range": call(named("builtins", "frozenset"), call(named("builtins", "range"), number(12 * 10**6))),
    "bytearray": call(named("builtins", "bytearray"), number(10**9)),
    "large layer": linear(in_features=number(2**31 - 1)),
}


def test_little_memory_is_enough_for_an_ordinary_file(cli, tmp_path):
    torch.save(nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3)), tmp_path / "m.pt")
    done = cli("check", "m.pt", "--layer", "auto", "--input-shape", "2,5", memory=LITTLE_MEMORY)
    assert done.status == 0, done.text


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_file_does_not_take_the_memory(cli, tmp_path, bomb):
    write_pickle(tmp_path / "m.pt", BOMBS[bomb])
    assert (tmp_path / "m.pt").stat().st_size < 4096
    done = cli("check", "m.pt", "--layer", "auto", timeout=20, memory=LITTLE_MEMORY)
    assert_refused_without_memory(done)


def test_a_zip_bomb_does_not_take_the_memory(cli, tmp_path):
    size = 400_000_000
    with zipfile.ZipFile(tmp_path / "m.pt", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("archive/data.pkl", "w", force_zip64=True) as record:
            record.write(b"\x80\x04\x8d" + struct.pack("<Q", size))
            for _ in range(size // 1_000_000):
                record.write(b"a" * 1_000_000)
            record.write(b".")
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    done = cli("check", "m.pt", "--layer", "auto", timeout=20, memory=LITTLE_MEMORY)
    assert_refused_without_memory(done)


def test_a_size_expression_that_never_ends_is_refused(cli, tmp_path, exported_with_number):
    content = records(exported_with_number)
    key = record_name(content, "models/model.json")

    def endless(value):
        if isinstance(value, dict):
            return {name: "9**9**9**9" if name == "expr_str" else endless(item) for name, item in value.items()}
        return [endless(item) for item in value] if isinstance(value, list) else value

    write_records(tmp_path / "m.pt2", content | {key: json.dumps(endless(json.loads(content[key]))).encode()})
    assert_one_error(cli("check", "m.pt2", "--layer", "a", timeout=4, memory=3 * LITTLE_MEMORY))
