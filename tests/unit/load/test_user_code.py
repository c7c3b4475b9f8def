from __future__ import annotations

import os
import sys

import pytest
import torch

from gradflow.errors import LoadError, UsageError
from gradflow.load.loading import load_workload
from gradflow.load.reference import build_reference
from gradflow.load.request import Request
from gradflow.load.user_code import UserCode

FILE = """
import torch

class Net(torch.nn.Module):
    def __init__(self, width=4, name=None):
        super().__init__()
        self.head = torch.nn.Linear(3, width)
        self.name = name

    def forward(self, x):
        return self.head(x)

class Group:
    build = Net

def build(width=4):
    return Net(width)

def broken():
    values = [1, 2]
    return values[7]

def nothing():
    Net()

model = Net()
settings = {"lr": 0.1}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "usertrain.py"
    path.write_text(FILE)
    yield path
    sys.modules.pop("usertrain", None)


def load(reference, **options):
    return load_workload(Request(model=str(reference), **options))


@pytest.mark.parametrize("name", ["build", "Net", "model", "Group.build"])
def test_a_factory_a_class_and_an_instance_give_a_model(file, name):
    workload = load(f"{file}:{name}")
    assert workload.model(*workload.inputs).shape == (1, 4)
    assert sys.modules["usertrain"].Net is type(workload.model)


def test_arguments_are_literals_where_they_are_some(file):
    model = load(f"{file}:Net", model_args=(("width", "6"), ("name", "my net"))).model
    assert (model.head.out_features, model.name) == (6, "my net")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("biuld", "has no `biuld`"),
        ("settings", "gives a `dict`, not a model"),
        ("nothing", "gives `None`, not a model"),
        ("torch", "gives a `module`, not a model"),
    ],
)
def test_what_gives_no_model_is_said(file, name, said):
    with pytest.raises(LoadError, match=said):
        load(f"{file}:{name}")


def test_a_misspelt_name_gets_the_closest(file):
    with pytest.raises(LoadError) as caught:
        load(f"{file}:biuld")
    assert "`build`" in caught.value.hint


def test_arguments_that_do_not_fit_show_the_signature(file):
    with pytest.raises(LoadError, match="unexpected keyword argument 'depth'") as caught:
        load(f"{file}:build", model_args=(("depth", "3"),))
    assert "build(width=4)" in caught.value.note
    with pytest.raises(UsageError, match="is a model already"):
        load(f"{file}:model", model_args=(("depth", "3"),))


def test_an_error_in_the_factory_names_its_line(file):
    with pytest.raises(LoadError, match="raised while it built") as caught:
        load(f"{file}:broken")
    line = FILE.splitlines().index("    return values[7]") + 1
    assert caught.value.note == f"{file}:{line} in broken: IndexError: list index out of range"


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("import torch\n1 / 0\n", "line2"),
        ("def f(:\n", "invalid syntax"),
        ("import no_such_module_here\n", "No module named 'no_such_module_here'"),
        ("import sys\nsys.exit(3)\n", "ends the program"),
        ("raise KeyboardError\n", "NameError"),
    ],
)
def test_an_error_at_import_is_one_clear_error(tmp_path, text, note):
    path = tmp_path / "userbroken.py"
    path.write_text(text)
    with pytest.raises(LoadError, match=r"`userbroken\.py` cannot be imported") as caught:
        load(f"{path}:build")
    assert (f"{path}:2" if note == "line2" else note) in caught.value.note
    assert "userbroken" not in sys.modules


def test_a_file_without_a_name_after_it_gets_an_example(file):
    with pytest.raises(LoadError, match="does not say which object") as caught:
        load(file)
    assert f"{file}:build" in caught.value.hint


def test_a_file_that_does_not_exist_gets_the_closest(file):
    with pytest.raises(LoadError, match="there is no file") as caught:
        load(f"{file.parent}/usertrian.py:build")
    assert "usertrain.py" in caught.value.hint


def test_files_beside_it_can_be_imported_also_later(tmp_path):
    (tmp_path / "userhelper_a.py").write_text("WIDTH = 5\n")
    (tmp_path / "userhelper_b.py").write_text("VALUE = 1\n")
    (tmp_path / "usermain.py").write_text(
        "import torch, userhelper_a\n"
        "class Net(torch.nn.Linear):\n"
        "    def forward(self, x):\n"
        "        import userhelper_b\n"
        "        return super().forward(x) + userhelper_b.VALUE\n"
        "def build():\n    return Net(3, userhelper_a.WIDTH)\n"
    )
    before = list(sys.path)
    try:
        workload = load(f"{tmp_path}/usermain.py:build")
        assert workload.model(*workload.inputs).shape == (1, 5)
        assert sys.path[: len(before)] == before
    finally:
        sys.path[:] = before
        for name in ("usermain", "userhelper_a", "userhelper_b"):
            sys.modules.pop(name, None)


@pytest.mark.parametrize("stem", ["random", "torch"])
def test_a_file_named_like_a_library_does_not_replace_it(tmp_path, stem):
    path = tmp_path / f"{stem}.py"
    path.write_text(f"NAME = {stem!r}\n")
    library = __import__(stem)
    before = list(sys.path)
    try:
        assert UserCode().object_at(f"{path}:NAME", "value") == stem
        assert sys.modules[stem] is library
    finally:
        sys.path[:] = before
        sys.modules.pop(f"gradflow_file_{stem}", None)


def test_one_file_runs_once_for_all_its_objects(tmp_path):
    path = tmp_path / "useronce.py"
    path.write_text("import torch\nmodel = torch.nn.Linear(2, 2)\nx = torch.ones(1, 2)\n")
    code = UserCode()
    assert code.object_at(f"{path}:model", "model") is code.object_at(f"{path}:model", "model")
    sys.modules.pop("useronce", None)


def test_a_package_reference_is_imported_from_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "userpkg").mkdir()
    (tmp_path / "userpkg" / "__init__.py").touch()
    (tmp_path / "userpkg" / "net.py").write_text("import torch\nmodel = torch.nn.Linear(2, 3)\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    try:
        assert isinstance(load("userpkg.net:model").model, torch.nn.Linear)
        with pytest.raises(LoadError, match="cannot be imported") as caught:
            load("userpkg.nut:model")
        assert "userpkg.nut" in caught.value.note
    finally:
        sys.path[:] = before
        for name in ("userpkg", "userpkg.net"):
            sys.modules.pop(name, None)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo.py")  # to which nobody writes
    with pytest.raises(LoadError, match="is a named pipe, not a Python file"):
        load(f"{tmp_path}/fifo.py:build")
    with pytest.raises(LoadError, match="is a device, not a Python file"):
        load(f"{os.devnull}:build")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("n" * 300 + ".py", "cannot be read"),
        ("n/" * 3000 + "x.py", "cannot be read"),
        ("a\0b.py", "NUL character"),
        ("~nosuchuser/net.py", "a user that there is not"),
        ("nothing/net.py", "there is no file"),
    ],
)
def test_a_name_that_can_be_no_file_is_one_error(name, said):
    with pytest.raises(LoadError, match=said):
        UserCode().object_at(f"{name}:build", "model")


def test_links_in_a_circle_are_one_error(tmp_path):
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    with pytest.raises(LoadError, match="cannot be read"):
        load(f"{tmp_path}/loop.py:build")


@pytest.mark.parametrize(
    "content", [b"def f(:\n", b"x = '\xff'\n", b"x=1\0\n", b"# -*- coding: nonsense -*-\n", b"(" * 5000 + b")" * 5000]
)
def test_a_file_that_is_no_python_is_one_error(tmp_path, content):
    (tmp_path / "usersyntax.py").write_bytes(content)
    with pytest.raises(LoadError, match="cannot be imported"):
        load(f"{tmp_path}/usersyntax.py:build")
    with pytest.raises(LoadError, match="does not say which object"):
        load(f"{tmp_path}/usersyntax.py")


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "usermark.py").write_bytes(b"\xef\xbb\xbf" + FILE.encode())
    assert load(f"{tmp_path}/usermark.py:build").model.head.out_features == 4
    with pytest.raises(LoadError) as caught:
        load(f"{tmp_path}/usermark.py")
    assert caught.value.hint.endswith("usermark.py:build`")
    sys.modules.pop("usermark", None)


NESTED = """
import torch

def nested(depth):
    model = torch.nn.Linear(2, 2)
    for _ in range(depth):
        model = torch.nn.Sequential(model)
    return model

def shared():
    layer = torch.nn.Linear(2, 2)
    for _ in range(5):
        layer = torch.nn.Sequential(layer, layer)
    return layer

def circle():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    model[0].outer = model
    return model
"""


def test_modules_that_nobody_can_go_through_are_one_error(tmp_path):
    path = tmp_path / "usernested.py"
    path.write_text(NESTED)
    code = UserCode()
    with pytest.raises(LoadError, match="contains itself"):
        build_reference(code, f"{path}:circle", {})
    with pytest.raises(LoadError, match="5,001 modules inside one another"):
        build_reference(code, f"{path}:nested", {"depth": 5000})
    assert isinstance(build_reference(code, f"{path}:nested", {"depth": 100}).model, torch.nn.Sequential)
    assert isinstance(build_reference(code, f"{path}:shared", {}).model, torch.nn.Sequential)
    sys.modules.pop("usernested", None)


def test_an_attribute_of_an_object_without_attributes_is_one_error(file):
    with pytest.raises(LoadError, match="has no"):
        load(f"{file}:torch.ones.ones")


def test_brackets_without_end_are_a_text(file):
    brackets = "[" * 3000 + "]" * 3000
    assert load(f"{file}:build", model_args=(("width", "5"),)).model.head.out_features == 5
    assert load(f"{file}:Net", model_args=(("name", brackets),)).model.name == brackets
