"""Records of an archive that are more, or less, than torch.export.save writes."""

from __future__ import annotations

import io
import json
import os
import pickle
import tempfile
import zipfile

import pytest
import torch

from gradflow.errors import LoadError, UntrustedFileError
from gradflow.load.files.exported import load_exported


class Evil:
    def __reduce__(self):
        return os.mkdir, ("made_by_the_file",)


def saved(value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


INPUTS = "data/sample_inputs/model.pt"


@pytest.mark.parametrize(
    "data",
    [
        saved(((Evil(),), {})),
        saved(((Evil(),), {}), _use_new_zipfile_serialization=False),
        saved(((torch.ones(3, 5), 3), {}), _use_new_zipfile_serialization=False),
        pickle.dumps(Evil()),
    ],
    ids=["format of today", "old format", "old format without code", "a bare pickle"],
)
def test_pickled_example_inputs_do_not_run(changed, data):
    with pytest.raises(UntrustedFileError):
        load_exported(changed.data(INPUTS, data), trust=False)


def test_example_inputs_that_are_more_than_plain_data_are_left_out(changed):
    source = load_exported(changed.data(INPUTS, saved(((torch.nn.Linear(2, 2),), {}))), trust=False)
    assert source.example_inputs is None
    assert "left out" in source.assumptions[1]


@pytest.mark.parametrize("value", [3, [1, 2, 3], {"x": torch.ones(2)}, ((), {3: 4})])
def test_example_inputs_that_are_no_call_are_left_out(changed, value):
    assert load_exported(changed.data(INPUTS, saved(value)), trust=False).example_inputs is None


def test_a_program_without_example_inputs_loads(changed):
    assert load_exported(changed.data(INPUTS, b""), trust=False).example_inputs is None


def weight(config):
    return config["config"]["a.weight"]


@pytest.mark.parametrize(
    "change",
    [
        lambda config: weight(config).update(use_pickle=True),
        lambda config: weight(config).update(tensor_meta=None),
        lambda config: weight(config).update(path_name="custom_obj_0"),
        lambda config: weight(config).update(path_name="../../models/model.json"),
        lambda config: config["config"].update({"a.forward": weight(config)}),
        lambda config: config["config"].update({'a.x")': weight(config)}),
    ],
    ids=["pickled", "without a description", "an object", "a path", "hides a method", "code in a name"],
)
def test_weights_that_are_more_than_bytes_are_refused(changed, change):
    with pytest.raises(UntrustedFileError):
        load_exported(changed.weights(change), trust=False)


@pytest.mark.parametrize(
    "change",
    [
        lambda meta: meta.update(sizes=[{"as_int": 400}, {"as_int": 5}]),
        lambda meta: meta.update(strides=[{"as_int": 50}, {"as_int": 1}]),
        lambda meta: meta.update(storage_offset={"as_int": 1}),
        lambda meta: meta.update(storage_offset={"as_int": -1}),
        lambda meta: meta.update(dtype=8),
        lambda meta: meta.update(layout=1),
        lambda meta: meta.update(sizes=[{"as_expr": {"expr_str": "s0"}}, {"as_int": 5}]),
        lambda meta: meta.update(sizes=[{"as_int": 2**40}, {"as_int": 5}], strides=[{"as_int": 0}, {"as_int": 1}]),
    ],
    ids=["larger", "strides", "offset", "negative offset", "type", "layout", "symbol", "expanded"],
)
def test_a_tensor_that_its_record_does_not_hold_is_refused(changed, change):
    with pytest.raises(LoadError):
        load_exported(changed.weights(lambda config: change(weight(config)["tensor_meta"])), trust=False)


def test_an_empty_record_is_not_filled_up_with_zeros(changed):
    name = weight(json.loads(changed.records()[changed.record("model_weights_config.json")]))["path_name"]
    with pytest.raises(LoadError, match="cannot load"):
        load_exported(changed.data(f"data/weights/{name}", b""), trust=False)


@pytest.mark.parametrize(
    "name",
    [
        "data/weights/model.pt",
        "data/constants/model.pt",
        "data/aotinductor/model/model.so",
        "data/executorch/program.pte",
    ],
)
def test_old_formats_and_compiled_code_are_refused(changed, name):
    root = changed.record("archive_format").partition("/")[0]
    with pytest.raises(UntrustedFileError):
        load_exported(changed.write(changed.records() | {f"{root}/{name}": saved({"a": 1})}), trust=False)


@pytest.mark.parametrize("missing", [INPUTS, "archive_version", "model_weights_config.json", "models/model.json"])
def test_a_missing_record_is_one_clear_error(changed, missing):
    records = changed.records()
    del records[changed.record(missing)]
    with pytest.raises(LoadError):
        load_exported(changed.write(records), trust=False)


@pytest.mark.parametrize(
    ("record", "data"), [("byteorder", b"big"), ("archive_version", b"x"), ("archive_format", b"x")]
)
def test_another_format_is_one_clear_error(changed, record, data):
    with pytest.raises(LoadError, match="cannot load"):
        load_exported(changed.data(record, data), trust=False)


def test_compressed_records_are_refused(changed):
    path = changed.write(changed.records(), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(LoadError, match="cannot load"):
        load_exported(path, trust=False)


def test_a_file_that_is_put_in_its_place_after_the_check_is_not_loaded(changed, monkeypatch):
    from gradflow.load.files import exported

    path = changed.write(changed.records())
    real, seen = exported._load_copy, []

    def swapped(copy):
        seen.append((copy, copy.exists(), copy.parent.stat().st_mode & 0o777))
        path.write_bytes(b"something else")
        return real(copy)

    monkeypatch.setattr(exported, "_load_copy", swapped)
    assert not load_exported(path, trust=False).limits
    assert seen[0][0] != path
    assert seen[0][1:] == (True, 0o700)


def test_trust_gives_the_file_to_torch_as_it_is(changed, monkeypatch):
    loaded = []
    real = torch.export.load
    monkeypatch.setattr(torch.export, "load", lambda path: loaded.append(path) or real(path))
    path = changed.data(INPUTS, saved(((torch.ones(3, 5), 3), {}), _use_new_zipfile_serialization=False))
    assert load_exported(path, trust=True).example_inputs is not None
    assert loaded == [str(path)]


def test_a_temporary_folder_that_cannot_be_written_is_told_as_such(changed, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "there_is_no_such_folder")
    with pytest.raises(LoadError, match="temporary folder") as caught:
        load_exported(changed.write(changed.records()), trust=False)
    assert "TMPDIR" in caught.value.hint
