"""Files of torch.save: nothing of them runs, and each bad one gives one clear error."""

from __future__ import annotations

import os
import pickle
import sys
from functools import partial

import pytest
import torch

from gradflow.errors import LoadError, UntrustedFileError, UsageError
from gradflow.load.loading import load_workload
from gradflow.load.request import Request

USER_FILE = """
import torch

class Net(torch.nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.body = torch.nn.Conv2d(3, width, 3)
        self.head = torch.nn.Linear(width, 5)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))

def build():
    return Net()
"""


class Evil:
    """Creates a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def plain_model():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4, 2))


def load(path, **options):
    return load_workload(Request(model=str(path), **options))


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    """A module of the user's, importable as ``usernet_module``."""
    (tmp_path / "usernet_module.py").write_text(USER_FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import importlib

    yield importlib.import_module("usernet_module")
    sys.modules.pop("usernet_module", None)


def test_a_whole_model_of_torch_classes_loads(tmp_path):
    model = plain_model().eval()
    torch.save(model, tmp_path / "model.pt")
    workload = load(tmp_path / "model.pt")
    assert torch.equal(workload.model[0].weight, model[0].weight)
    assert not workload.model.training
    assert workload.model_name == "model.pt"
    assert any("eval, as it was saved" in text for text in workload.assumptions)


def test_a_whole_model_in_a_checkpoint_loads(tmp_path):
    torch.save({"epoch": 3, "model": plain_model()}, tmp_path / "last.pt")
    workload = load(tmp_path / "last.pt")
    assert isinstance(workload.model, torch.nn.Sequential)
    assert any("`model` in the file" in text for text in workload.assumptions)


def test_a_model_that_holds_an_activation_function_loads(tmp_path):
    torch.save(torch.nn.TransformerEncoderLayer(8, 2, batch_first=True), tmp_path / "layer.pt")
    assert isinstance(load(tmp_path / "layer.pt").model, torch.nn.TransformerEncoderLayer)


def test_a_class_of_the_user_is_named_and_needs_trust(tmp_path, user_module):
    torch.save(user_module.Net(), tmp_path / "net.pt")
    with pytest.raises(UntrustedFileError, match=r"usernet_module\.Net") as caught:
        load(tmp_path / "net.pt")
    assert "--trust" in caught.value.hint
    assert isinstance(load(tmp_path / "net.pt", trust=True).model, user_module.Net)


def test_a_trusted_file_whose_class_is_gone_says_what_to_do(tmp_path, user_module):
    torch.save(user_module.Net(), tmp_path / "net.pt")
    del user_module.Net
    with pytest.raises(LoadError, match="needs a class that cannot be found") as caught:
        load(tmp_path / "net.pt", trust=True)
    assert "--arch" in caught.value.hint


@pytest.mark.parametrize("new_format", [True, False])
def test_a_malicious_file_runs_nothing(tmp_path, new_format):
    target = tmp_path / "pwned"
    model = plain_model()
    model.extra = Evil(target)
    torch.save({"model": model}, tmp_path / "model.pt", _use_new_zipfile_serialization=new_format)
    # before 1.6 a file refers to the class of a module in a way that only unpickling can follow
    with pytest.raises(UntrustedFileError, match="mkdir" if new_format else r"before 1\.6"):
        load(tmp_path / "model.pt")
    assert not target.exists()


def test_a_malicious_plain_pickle_runs_nothing(tmp_path):
    target = tmp_path / "pwned"
    (tmp_path / "model.pt").write_bytes(pickle.dumps(Evil(target)))
    for trust in (False, True):
        with pytest.raises(LoadError, match="plain pickle"):
            load(tmp_path / "model.pt", trust=trust)
    assert not target.exists()


def test_a_hook_that_would_load_more_is_refused(tmp_path):
    model = plain_model()
    model.extra = partial(torch.load, "other.pt", weights_only=False)
    torch.save(model, tmp_path / "model.pt")
    with pytest.raises(UntrustedFileError, match=r"torch\.serialization\.load"):
        load(tmp_path / "model.pt")


def test_the_file_may_not_call_a_model_class(tmp_path):
    class Calling:
        def __reduce__(self):
            return torch.nn.Linear, (2, 2)

    torch.save({"model": Calling()}, tmp_path / "model.pt")
    with pytest.raises(UntrustedFileError, match="called by the file"):
        load(tmp_path / "model.pt")


def test_a_graph_module_is_refused_because_it_runs_its_own_code(tmp_path):
    torch.save(torch.fx.symbolic_trace(plain_model()), tmp_path / "model.pt")
    with pytest.raises(UntrustedFileError, match="graph_module"):
        load(tmp_path / "model.pt")


def test_torchs_own_allow_list_is_left_as_it_was(tmp_path):
    torch.save(plain_model(), tmp_path / "model.pt")
    with torch.serialization.safe_globals([torch.nn.ReLU]):
        before = set(map(str, torch.serialization.get_safe_globals()))
        load(tmp_path / "model.pt")
        assert set(map(str, torch.serialization.get_safe_globals())) == before


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_truncated_file_is_one_clear_error(tmp_path, kept):
    path = tmp_path / "model.pt"
    torch.save(plain_model(), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(LoadError, match="truncated or damaged"):
        load(path)


def test_a_truncated_legacy_file_is_one_clear_error(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(plain_model().state_dict(), path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(LoadError, match="truncated or damaged"):
        load(path)


def test_flipped_bytes_never_give_a_raw_exception(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(plain_model().state_dict(), path)
    data = bytearray(path.read_bytes())
    for position in range(30, len(data), 97):
        broken = data.copy()
        broken[position] ^= 0xFF
        path.write_bytes(bytes(broken))
        with pytest.raises(LoadError):
            load(path)


def test_a_state_dict_needs_arch_and_says_so(tmp_path):
    torch.save(plain_model().state_dict(), tmp_path / "weights.pth")
    with pytest.raises(LoadError, match="holds only weights") as caught:
        load(tmp_path / "weights.pth")
    assert "--arch" in caught.value.hint


def test_a_checkpoint_that_names_its_architecture_gives_it_as_the_hint(tmp_path):
    torch.save({"arch": "resnet18", "state_dict": plain_model().state_dict()}, tmp_path / "weights.pth")
    with pytest.raises(LoadError) as caught:
        load(tmp_path / "weights.pth")
    assert "--arch resnet18" in caught.value.hint


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "net", "ema", "my_own_key"])
@pytest.mark.parametrize("new_format", [True, False])
def test_weights_are_found_in_a_checkpoint(tmp_path, key, new_format):
    (tmp_path / "usernet.py").write_text(USER_FILE)
    arch = f"{tmp_path}/usernet.py:build"
    built = load_workload(Request(model=arch)).model
    torch.save(
        {"epoch": 1, "optimizer": {"state": {0: torch.ones(2)}}, key: built.state_dict()},
        tmp_path / "checkpoint.pth",
        _use_new_zipfile_serialization=new_format,
    )
    workload = load(tmp_path / "checkpoint.pth", arch=arch)
    assert torch.equal(workload.model.head.weight, built.head.weight)
    assert any("4 tensors from" in text for text in workload.assumptions)


def test_common_harmless_things_beside_the_weights_do_not_need_trust(tmp_path):
    import argparse
    from pathlib import PurePosixPath

    import numpy

    (tmp_path / "usernet.py").write_text(USER_FILE)
    arch = f"{tmp_path}/usernet.py:build"
    state = load_workload(Request(model=arch)).model.state_dict()
    extra = {"args": argparse.Namespace(lr=0.1), "best": numpy.float64(0.5), "root": PurePosixPath("/data")}
    torch.save({"model": state, **extra}, tmp_path / "checkpoint.pth")
    assert load(tmp_path / "checkpoint.pth", arch=arch).model.head.weight.shape == (5, 4)


@pytest.mark.parametrize("what", [torch.ones(3), {"lr": 0.1}, {}, [1, 2]])
def test_a_file_without_a_model_says_what_it_holds(tmp_path, what):
    torch.save(what, tmp_path / "thing.pt")
    with pytest.raises(LoadError, match="holds no model and no weights") as caught:
        load(tmp_path / "thing.pt", arch="resnet18")
    assert caught.value.note.startswith("it holds ")


def test_arch_beside_a_whole_model_is_a_usage_error(tmp_path):
    torch.save(plain_model(), tmp_path / "model.pt")
    with pytest.raises(UsageError, match="`--arch` has nothing to do"):
        load(tmp_path / "model.pt", arch="resnet18")
