"""What scanners of pickles warn of does nothing here, wherever in the file it stands."""

from __future__ import annotations

import pytest

from tests.attacks import opcodes
from tests.attacks.commands import assert_refused, needs
from tests.attacks.opcodes import (
    START_4,
    call,
    linear,
    linear_with_weight,
    listed,
    mapping,
    meta_tensor,
    named,
    named_by_stack,
    ordered,
    parameter,
    partial,
    sequential,
    text,
    through_rebuild,
    with_state,
    write_pickle,
)
from tests.attacks.pickles.gadgets import GADGETS, OF_LIBRARIES, arguments, read

EVERY = read(GADGETS)
IN_LIBRARIES = read(OF_LIBRARIES)


def assert_none_is_called(cli, folder, canary, gadgets):
    """A file for each of them: all are refused, and nothing is made, also not what the canary knows nothing of."""
    paths = [folder / f"{module}.{name}.pt" for module, name, _ in gadgets]
    for path, (module, name, kind) in zip(paths, gadgets, strict=True):
        write_pickle(path, call(named(module, name), *arguments(kind, canary)))
    before = sorted(folder.iterdir())
    for path, done in zip(paths, cli.each([("layers", path.name) for path in paths]), strict=True):
        assert_refused(done, canary)
        assert path.name in done.err
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("letter", sorted({module[0] for module, _, _ in EVERY}))
def test_a_function_that_does_harm_is_not_called(cli, tmp_path, canary, letter):
    assert_none_is_called(cli, tmp_path, canary, [gadget for gadget in EVERY if gadget[0][0] == letter])


@pytest.mark.parametrize("library", sorted({module.partition(".")[0] for module, _, _ in IN_LIBRARIES}))
def test_a_function_of_a_library_of_models_is_not_called(cli, tmp_path, canary, library):
    needs(library)
    gadgets = [gadget for gadget in IN_LIBRARIES if gadget[0].partition(".")[0] == library]
    assert_none_is_called(cli, tmp_path, canary, gadgets)


def test_the_canary_can_sing(cli, tmp_path, canary):
    """With the user's word for the file the same attack succeeds: the tests beside this one can fail."""
    write_pickle(tmp_path / "m.pt", call(named("os", "mkdir"), *arguments("path", canary)))
    cli("layers", "m.pt", "--trust")
    assert canary.exists()


FEW = [
    ("os", "mkdir", "path"),
    ("builtins", "eval", "code"),
    ("torch.nn.functional", "torch.os.mkdir", "path"),
    ("torch.nn.modules.module", "torch.os.mkdir", "path"),
    ("runpy", "run_path", "script"),
    ("torch", "load", "saved"),
    ("torch.storage", "_load_from_bytes", "torch pickled"),
]
PLACES = {
    "weight": lambda function, inside: linear_with_weight(call(function, *inside)),
    "data of a weight": lambda function, inside: linear_with_weight(parameter(call(function, *inside))),
    "rebuilt weight": lambda function, inside: linear_with_weight(parameter(through_rebuild(function, *inside))),
    "state of a rebuilt weight": lambda function, inside: through_rebuild(
        named("torch._utils", "_rebuild_meta_tensor_no_storage"), state=call(function, *inside)
    ),
    "module": lambda function, inside: sequential(a=call(function, *inside)),
    "attribute": lambda function, inside: linear(extra=call(function, *inside)),
    "key": lambda function, inside: mapping([(call(function, *inside), text("x"))]),
    "value": lambda function, inside: mapping([(text("state_dict"), call(function, *inside))]),
    "list": lambda function, inside: mapping([(text("model"), linear()), (text("x"), listed(call(function, *inside)))]),
    "dropped": lambda function, inside: call(function, *inside) + b"0" + linear(),
    "remembered": lambda function, inside: call(function, *inside) + b"q\x010" + linear(),
    "partial": lambda function, inside: linear(extra=partial(function, *inside)),
    "partial of partial": lambda function, inside: linear(extra=partial(partial(function, *inside))),
    "called partial": lambda function, inside: call(partial(function, *inside)),
    "argument of a partial": lambda function, inside: linear(
        extra=partial(named("torch.nn.functional", "relu"), call(function, *inside))
    ),
    "hook of a weight": lambda function, inside: linear_with_weight(
        parameter(meta_tensor(), ordered([(text("x"), partial(function, *inside))]))
    ),
    "factory of a dictionary": lambda function, inside: call(
        named("collections", "defaultdict"), partial(function, *inside)
    ),
    "activation": lambda function, inside: linear(activation=partial(function, *inside)),
    "state": lambda function, inside: with_state(linear(), call(function, *inside)),
    "persistent id": lambda function, inside: call(function, *inside) + b"Q",
}


@pytest.mark.parametrize("place", PLACES)
def test_no_place_in_a_file_calls(cli, tmp_path, canary, place):
    names = [f"{module}.{name}.pt" for module, name, _ in FEW]
    for path, (module, name, kind) in zip(names, FEW, strict=True):
        write_pickle(tmp_path / path, PLACES[place](named(module, name), arguments(kind, canary)))
    for done in cli.each([("check", path, "--layer", "auto", "--input-shape", "1,5") for path in names]):
        assert_refused(done, canary)


DOTTED = [
    ("os", "path.os.mkdir", "path"),
    ("torch", "os.mkdir", "path"),
    ("torch.nn", "modules.module.torch.os.mkdir", "path"),
    ("torch.nn.modules.linear", "torch.os.mkdir", "path"),
    ("torch.nn.modules.linear", "Linear.forward.__globals__.get", "name"),
    ("torch.nn.modules.linear", "Linear.__init__.__builtins__.get", "name"),
    ("torch.nn.modules.linear", "Linear.__class__.__subclasses__", "none"),
    ("torch.nn.modules.linear", "Linear.from_float", "name"),
    ("torch.nn.modules.module", "Module.load_state_dict", "name"),
    ("torch", "Tensor.__class__.mro", "none"),
    ("torch", "Tensor.share_memory_", "none"),
    ("torch", "float32.__class__", "none"),
    ("torch", "storage._load_from_bytes", "torch pickled"),
    ("collections", "OrderedDict.fromkeys", "number"),
    ("collections", "OrderedDict.__init__.__self__", "none"),
    ("functools", "partial.__class__.__subclasses__", "none"),
    ("builtins", "set.__class__", "class"),
    ("numpy", "ndarray.tofile", "path"),
    ("numpy", "dtype.__class__", "class"),
]


def test_an_attribute_of_what_may_be_named_is_not_called(cli, tmp_path, canary):
    names = [f"{module}.{name}.pt" for module, name, _ in DOTTED]
    for path, (module, name, kind) in zip(names, DOTTED, strict=True):
        write_pickle(tmp_path / path, call(named_by_stack(module, name), *arguments(kind, canary)), START_4)
    for done in cli.each([("layers", path) for path in names]):
        assert_refused(done, canary)


@pytest.mark.parametrize("library", ["timm", "torchvision", "torch"])
def test_a_folder_beside_the_file_does_not_stand_in_for_a_library(cli, tmp_path, canary, library):
    """It comes along with the file, and nobody has installed it."""
    folder = tmp_path / library / "nn" / "planted"
    folder.mkdir(parents=True)
    source = f"open({str(canary)!r}, 'w')\nfrom torch import nn\n\n\nclass Planted(nn.Linear):\n    pass\n"
    for place in (folder, folder.parent, folder.parent.parent):
        (place / "__init__.py").write_text(source, encoding="utf-8")
    for inner in ("nn.planted", "nn", "planted"):
        write_pickle(tmp_path / "m.pt", sequential(a=linear(), b=opcodes.module(f"{library}.{inner}", "Planted")))
        assert_refused(cli("layers", "m.pt"), canary)
