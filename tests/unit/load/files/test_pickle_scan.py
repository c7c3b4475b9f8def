from __future__ import annotations

import collections
import io
import os
import pickle

import torch

from gradflow.load.files.pickle_scan import scan_pickle


class _Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_call_is_noted_and_not_made(tmp_path):
    target = tmp_path / "made"
    contents = scan_pickle(io.BytesIO(pickle.dumps({"model": [_Evil(target)]}, protocol=2)))
    assert contents.called == contents.names
    assert any(name.endswith(".mkdir") for name in contents.called)
    assert not target.exists()


def test_an_object_restored_without_its_constructor_is_not_called():
    contents = scan_pickle(io.BytesIO(pickle.dumps(torch.nn.ReLU(), protocol=2)))
    assert "torch.nn.modules.activation.ReLU" in contents.names - contents.called


def test_containers_of_stand_ins_are_filled_without_complaint():
    data = pickle.dumps(
        [collections.defaultdict(list, a=1), collections.deque([1, 2]), {1, 2}, frozenset((3,))], protocol=4
    )
    assert "collections.deque" in scan_pickle(io.BytesIO(data)).called


def test_names_of_python_2_are_translated_as_torch_does():
    assert scan_pickle(io.BytesIO(pickle.dumps(set, protocol=2))).names == {"builtins.set"}
