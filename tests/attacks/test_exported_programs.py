"""An exported program is data: its sample inputs, weights and sizes run nothing."""

from __future__ import annotations

import json

import pytest

from tests.attacks.archives import (
    WEIGHT,
    Evaluated,
    Small,
    evil_inputs,
    record_name,
    records,
    saved,
    write_records,
    write_two_faced,
    written,
)
from tests.attacks.commands import assert_one_error, assert_refused, assert_refused_or_harmless
from tests.attacks.opcodes import START, STOP, linear, mapping, module, text


def test_sample_inputs_in_the_old_format_are_looked_through(cli, tmp_path, exported, canary):
    """The old format is four pickles, and the first is only a number."""
    content = records(exported)
    content[record_name(content, "data/sample_inputs/model.pt")] = evil_inputs(canary, legacy=True)
    write_records(tmp_path / "m.pt2", content)
    assert_refused(cli("check", "m.pt2", "--layer", "a"), canary)


@pytest.mark.parametrize("legacy", [True, False], ids=["old format", "format of today"])
def test_a_weight_with_use_pickle_is_refused(cli, tmp_path, exported, canary, legacy):
    content = records(exported)
    config = record_name(content, "model_weights_config.json")
    settings = json.loads(content[config])
    entry = settings["config"]["a.weight"]
    entry["use_pickle"] = True
    content[config] = json.dumps(settings).encode()
    content[record_name(content, "data/weights/" + entry["path_name"])] = saved(
        Evaluated(written(canary, WEIGHT)), legacy=legacy
    )
    write_records(tmp_path / "m.pt2", content)
    assert_refused(cli("check", "m.pt2", "--layer", "a"), canary)


def test_weights_in_the_old_format_are_looked_through(cli, tmp_path, exported, canary):
    content = records(exported)
    root = next(iter(content)).partition("/")[0]
    weights = dict(Small().state_dict()) | {"a.weight": Evaluated(written(canary, WEIGHT))}
    content[f"{root}/data/weights/model.pt"] = saved(weights, legacy=True)
    write_records(tmp_path / "m.pt2", content)
    assert_refused(cli("check", "m.pt2", "--layer", "a"), canary)


def renamed(value, old, new):
    """The program with another name for its size."""
    if isinstance(value, dict):
        return {
            (new if key == old else key): new if key == "as_name" and item == old else renamed(item, old, new)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [renamed(item, old, new) for item in value]
    return value


def with_size_name(data, change):
    content = records(data)
    key = record_name(content, "models/model.json")
    program = json.loads(content[key])
    inputs = program["graph_module"]["graph"]["inputs"]
    old = next(entry["as_sym_int"]["as_name"] for entry in inputs if "as_sym_int" in entry)
    return content | {key: json.dumps(renamed(program, old, change(old))).encode()}


def test_an_as_name_that_is_code_is_refused(cli, tmp_path, exported_with_number, canary):
    """torch writes it into the signature of a function, and runs that."""
    evil = with_size_name(exported_with_number, lambda name: f"{name}=open({str(canary)!r}, 'w').write('ran')")
    write_records(tmp_path / "m.pt2", evil)
    assert_refused(cli("check", "m.pt2", "--layer", "a"), canary)


def test_a_two_faced_archive_is_not_loaded(cli, tmp_path, exported, canary):
    """`zipfile` sees a benign program in it, and torch another."""
    good = records(exported)
    bad = good | {record_name(good, "data/sample_inputs/model.pt"): evil_inputs(canary)}
    path = write_two_faced(tmp_path / "m.pt2", good, bad)
    # the benign program may also be what is checked
    assert_refused_or_harmless(cli("check", path, "--layer", "a"), canary)


@pytest.mark.parametrize("first", [True, False], ids=["evil first", "evil last"])
def test_names_that_differ_in_case_only_are_not_loaded(cli, tmp_path, exported, canary, first):
    """torch's reader looks names up without case."""
    good = records(exported)
    name = record_name(good, "data/sample_inputs/model.pt")
    other = {name.replace("sample_inputs", "Sample_inputs"): evil_inputs(canary)}
    write_records(tmp_path / "m.pt2", other | good if first else good | other)
    assert_refused_or_harmless(cli("check", "m.pt2", "--layer", "a"), canary)


def test_a_two_faced_pickle_is_loaded_as_it_was_checked(cli, tmp_path):
    def file_of(name):
        body = module("torch.nn.modules.container", "Sequential", _modules=mapping([(text(name), linear())]))
        return {"archive/data.pkl": START + body + STOP, "archive/byteorder": b"little", "archive/version": b"3\n"}

    write_two_faced(tmp_path / "m.pt", file_of("checked"), file_of("foreign"))
    done = cli("layers", "m.pt", "--input-shape", "1,5")
    assert "foreign" not in done.text
    if done.status == 2:
        assert_one_error(done)
