"""A pickle is data: whatever it names, calls or hides, nothing of it runs."""

from __future__ import annotations

import pytest

from tests.attacks.archives import TENSOR, written
from tests.attacks.commands import assert_refused, needs
from tests.attacks.opcodes import (
    EMPTY_DICT,
    NONE,
    linear,
    linear_with_weight,
    made,
    mapping,
    meta_tensor,
    module,
    named,
    number,
    ordered,
    parameter,
    partial,
    several,
    text,
    through_rebuild,
    with_state,
    write_pickle,
)

REEXPORTED = (
    ("torch.nn.functional", "torch.os.mkdir"),
    ("torch.nn.functional", "torch.builtins.eval"),
    ("torch.nn.functional", "torch.os.path.os.mkdir"),
    ("torch.nn.functional", "importlib.import_module"),
    ("torchvision.ops.boxes", "torch.os.mkdir"),
    ("torchvision.ops.boxes", "torchvision.extension.os.mkdir"),
    ("timm.layers.activations", "torch.os.mkdir"),
)


def payload(function, canary):
    """What to give that function so that it makes the canary."""
    if function.endswith("eval"):
        return written(canary, TENSOR)
    if function.endswith("import_module"):
        (canary.parent / "planted.py").write_text(f"open({str(canary)!r}, 'w').write('ran')\n", encoding="utf-8")
        return "planted"
    return str(canary)


def reexported_call(canary, module_name="torch.nn.functional", function="torch.os.mkdir"):
    return through_rebuild(named(module_name, function), text(payload(function, canary)))


@pytest.mark.parametrize(("module_name", "function"), REEXPORTED)
def test_names_that_a_known_module_only_reexports_are_refused(cli, tmp_path, canary, module_name, function):
    needs(module_name)
    write_pickle(tmp_path / "m.pt", reexported_call(canary, module_name, function))
    assert_refused(cli("check", "m.pt", "--layer", "auto"), canary)


@pytest.mark.parametrize("command", ["layers", "audit", "check", "input", "arch", "declared"])
def test_no_way_into_gradflow_runs_a_pickle(cli, tmp_path, net, canary, command):
    evil = reexported_call(canary)
    write_pickle(tmp_path / "m.pt", mapping([(text("a.weight"), evil)]) if command == "arch" else evil)
    commands = {
        "layers": ("layers", "m.pt"),
        "audit": ("audit", "m.pt"),
        "check": ("check", "m.pt", "--param", "weight"),
        "input": ("check", "net.py:Net", "--layer", "a", "--input", "m.pt"),
        "arch": ("check", "m.pt", "--arch", "net.py:Net", "--layer", "a"),
        "declared": ("check",),
    }
    if command == "declared":
        declared = '[tool.gradflow.models.good]\nsource = "m.pt"\nlayers = ["0"]\ninput-shapes = ["1,5"]\n'
        (tmp_path / "pyproject.toml").write_text(declared, encoding="utf-8")
    assert_refused(cli(*commands[command]), canary)


def test_pytest_does_not_run_a_declared_pickle(cli, tmp_path, canary):
    write_pickle(tmp_path / "m.pt", reexported_call(canary))
    declared = '[tool.gradflow.models.good]\nsource = "m.pt"\nlayers = ["0"]\ninput-shapes = ["1,5"]\n'
    (tmp_path / "pyproject.toml").write_text(declared, encoding="utf-8")
    done = cli.pytest()
    assert not canary.exists()
    assert done.status == 1, done.text
    assert "Traceback" not in done.text
    assert "bug in gradflow" not in done.text


def test_a_weight_that_the_file_computes_is_refused(cli, tmp_path, canary):
    """Where the value is a fine tensor, the report would be clean."""
    expression = text(written(canary, "__import__('torch').ones(3, 5)"))
    tensor = through_rebuild(named("torch.nn.functional", "torch.builtins.eval"), expression, state=EMPTY_DICT)
    weight = parameter(tensor)
    write_pickle(tmp_path / "m.pt", linear_with_weight(weight))
    assert_refused(cli("check", "m.pt", "--param", "weight"), canary)


@pytest.mark.parametrize(
    "function",
    [
        named("torch.nn.functional", "relu"),
        named("torch.nn.functional", "torch.zeros"),
        named("torch.nn.modules.linear", "Identity"),
    ],
    ids=["function", "reexport", "class"],
)
def test_what_torch_calls_for_the_file_counts_as_called(cli, tmp_path, canary, function):
    """`_rebuild_from_type_v2` calls its first argument: what a pickle may not call, this may not call either."""
    argument = several(number(3), number(5)) if function.endswith(b"zeros\n") else meta_tensor()
    tensor = through_rebuild(function, argument, state=EMPTY_DICT)
    write_pickle(tmp_path / "m.pt", mapping([(text("model"), linear()), (text("extra"), tensor)]))
    assert_refused(cli("layers", "m.pt"), canary)


@pytest.mark.parametrize("attribute", ["parameters", "named_modules", "train", "forward", "named_parameters"])
def test_an_attribute_that_hides_a_method_is_not_called(cli, tmp_path, canary, attribute):
    """The file only holds the function; gradflow would call it."""
    held = partial(named("torch.nn.functional", "torch.os.mkdir"), text(canary))
    write_pickle(tmp_path / "m.pt", linear(**{attribute: held}))
    assert_refused(cli("check", "m.pt", "--layer", "auto", "--input-shape", "1,5"), canary)


@pytest.mark.parametrize("attribute", ["parameters", "named_modules", "modules"])
def test_a_harmless_function_that_hides_a_method_is_no_bug_of_gradflow(cli, tmp_path, canary, attribute):
    write_pickle(tmp_path / "m.pt", linear(**{attribute: named("torch.nn.functional", "relu")}))
    assert_refused(cli("layers", "m.pt"), canary)


@pytest.mark.parametrize("hooks", ["_forward_hooks", "_forward_pre_hooks", "_backward_hooks"])
def test_a_hook_in_the_file_is_not_called(cli, tmp_path, canary, hooks):
    held = partial(named("torch.nn.functional", "torch.os.mkdir"), text(canary))
    write_pickle(tmp_path / "m.pt", linear(**{hooks: ordered([(number(0), held)])}))
    assert_refused(cli("check", "m.pt", "--layer", "auto", "--input-shape", "1,5"), canary)


@pytest.mark.parametrize(
    "body",
    [
        with_state(made(named("torch.nn.modules.linear", "Linear")), EMPTY_DICT),
        linear(in_features=number(-5)),
        module("torch.nn.modules.container", "Sequential", _modules=mapping([(number(0), linear())])),
        linear(_parameters=NONE),
    ],
    ids=["no state", "negative size", "number as a name", "no parameters"],
)
def test_a_module_with_odd_contents_gives_one_clear_error(cli, tmp_path, canary, body):
    write_pickle(tmp_path / "m.pt", body)
    assert_refused(cli("check", "m.pt", "--layer", "auto"), canary)
