"""Files as inputs: what they hold is taken, or told in words about inputs."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy
import pytest
import safetensors.torch
import torch

from gradflow.errors import LoadError, UntrustedFileError
from gradflow.load.inputs.input_file import read_input


def saved(path: Path, value: Any) -> str:
    torch.save(value, path)
    return str(path)


def test_arrays_in_a_file_of_torch_become_tensors(tmp_path: Path) -> None:
    values = numpy.arange(6, dtype=numpy.float32).reshape(2, 3)
    one = read_input(saved(tmp_path / "one.pt", values), ())
    assert torch.equal(one, torch.from_numpy(values))
    named = read_input(saved(tmp_path / "named.pt", {"x": values.astype(">f8"), "n": [values.T, numpy.float32(3)]}), ())
    assert torch.equal(named["x"], torch.from_numpy(values).double())
    assert torch.equal(named["n"][0], torch.from_numpy(values).T)
    assert (named["n"][1].shape, float(named["n"][1])) == ((), 3)
    pair = read_input(saved(tmp_path / "pair.pt", (torch.ones(1), values)), ())
    assert [type(value) for value in pair] == [torch.Tensor, torch.Tensor]


def test_an_array_of_texts_is_none_of_numbers(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="an array that is none of numbers") as caught:
        read_input(saved(tmp_path / "x.pt", {"x": numpy.array(["a"])}), ())
    assert caught.value.note == "it holds entries of the type `<U1`"


@pytest.mark.parametrize("arrays", [{"x": numpy.ones(2)}, {"x": numpy.ones(2), "y": numpy.ones(3)}])
def test_an_archive_of_arrays_is_called_so(tmp_path: Path, arrays: dict[str, Any]) -> None:
    numpy.savez(tmp_path / "z.npz", **arrays)
    (tmp_path / "z.npz").rename(tmp_path / "z.dat")  # whatever it is called
    with pytest.raises(LoadError, match="is a NumPy archive of") as caught:
        read_input(str(tmp_path / "z.dat"), ())
    assert "numpy.save(FILE.npy, array)" in caught.value.hint
    assert "file.py:function" in caught.value.hint


def test_an_array_is_known_by_its_content(tmp_path: Path) -> None:
    numpy.save(tmp_path / "x.npy", numpy.ones((2, 3)))
    (tmp_path / "x.npy").rename(tmp_path / "x.dat")
    assert read_input(str(tmp_path / "x.dat"), ()).shape == (2, 3)


def test_what_would_run_code_is_refused_with_advice_about_inputs(tmp_path: Path) -> None:
    with pytest.raises(UntrustedFileError, match="print") as caught:
        read_input(saved(tmp_path / "x.pt", {"x": print}), ())
    assert "a tuple or dictionary of tensors" in caught.value.hint
    assert "--arch" not in caught.value.hint


@pytest.mark.parametrize("content", [b"1,2,3\n4,5,6\n", pickle.dumps({"x": 1})])
def test_other_files_are_told_what_an_input_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(LoadError, match="not a file that gradflow reads as an input") as caught:
        read_input(str(tmp_path / "x.csv"), ())
    assert "torch.save(inputs, FILE)" in caught.value.hint


@pytest.mark.parametrize("is_old", [False, True])
def test_a_truncated_file_is_called_truncated(tmp_path: Path, is_old: bool) -> None:
    torch.save(torch.ones(100), tmp_path / "x.pt", _use_new_zipfile_serialization=not is_old)
    assert read_input(str(tmp_path / "x.pt"), ()).shape == (100,)
    content = (tmp_path / "x.pt").read_bytes()
    (tmp_path / "x.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(LoadError, match="truncated or damaged"):
        read_input(str(tmp_path / "x.pt"), ())


def test_a_model_is_no_input(tmp_path: Path) -> None:
    net = torch.nn.Linear(2, 2)
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "scripted.pt"))
    torch.export.save(torch.export.export(net, (torch.ones(1, 2),)), tmp_path / "exported.pt2")
    for name in (saved(tmp_path / "whole.pt", net), f"{tmp_path}/scripted.pt", f"{tmp_path}/exported.pt2"):
        with pytest.raises(LoadError, match="holds a model, not an input"):
            read_input(name, ())


def test_a_state_dict_is_no_input(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with pytest.raises(LoadError, match="holds a state dict, not an input") as caught:
        read_input(saved(tmp_path / "w.pth", net.state_dict()), ())
    assert "--arch" in caught.value.hint
    safetensors.torch.save_file(net.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(LoadError, match="holds a state dict, not an input"):
        read_input(str(tmp_path / "w.safetensors"), net.state_dict())


@pytest.mark.parametrize(
    "batch",
    [
        {"observation.image": torch.ones(1), "observation.state": torch.ones(1)},  # as robots have it
        OrderedDict(feature0=torch.ones(1), feature1=torch.ones(1)),  # what a feature pyramid takes
        {"0.weight": torch.ones(1), "x": torch.ones(1)},
    ],
)
def test_a_dictionary_of_tensors_is_an_input(tmp_path: Path, batch: Any) -> None:
    names = torch.nn.Sequential(torch.nn.Linear(2, 2)).state_dict()
    assert list(read_input(saved(tmp_path / "x.pt", batch), names)) == list(batch)
    safetensors.torch.save_file(dict(batch), tmp_path / "x.safetensors")
    assert set(read_input(str(tmp_path / "x.safetensors"), names)) == set(batch)
