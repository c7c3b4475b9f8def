"""Attributes of a module that Python, torch or gradflow would call or obey."""

from __future__ import annotations

import pytest

from tests.attacks.commands import assert_refused, assert_refused_or_harmless, needs
from tests.attacks.opcodes import (
    EMPTY_DICT,
    EMPTY_LIST,
    EMPTY_TUPLE,
    FALSE,
    HOOKS,
    NONE,
    TRUE,
    linear,
    linear_with_weight,
    listed,
    mapping,
    meta_tensor,
    module,
    named,
    number,
    ordered,
    parameter,
    partial,
    sequential,
    storage,
    tensor,
    text,
    through_rebuild,
    with_state,
    write_pickle,
)

RELU = named("torch.nn.functional", "relu")
CHECK = ("check", "m.pt", "--layer", "auto", "--input-shape", "1,5")


@pytest.mark.parametrize("hooks", HOOKS)
@pytest.mark.parametrize("held", [RELU, partial(RELU), NONE, text("x")], ids=["function", "partial", "none", "text"])
def test_a_hook_of_any_kind_is_refused(cli, tmp_path, canary, hooks, held):
    write_pickle(tmp_path / "m.pt", linear(**{hooks: ordered([(number(0), held)])}))
    assert_refused(cli(*CHECK), canary)


@pytest.mark.parametrize("hooks", HOOKS)
@pytest.mark.parametrize("value", [NONE, EMPTY_LIST, number(3)], ids=["none", "list", "number"])
def test_hooks_that_are_no_dictionary_are_one_error(cli, tmp_path, canary, hooks, value):
    write_pickle(tmp_path / "m.pt", linear(**{hooks: value}))
    assert_refused(cli(*CHECK), canary)


HIDING = """
    __call__ __class__ __dict__ __getattr__ __getattribute__ __setattr__ __delattr__ __setstate__ __getstate__
    __reduce__ __reduce_ex__ __deepcopy__ __copy__ __del__ __init__ __new__ __dir__ __repr__ __str__ __hash__ __eq__
    __iter__ __len__ __doc__ __module__ __weakref__ __torch_function__ __instancecheck__ __init_subclass__
    _call_impl _wrapped_call_impl _slow_forward _apply _save_to_state_dict _load_from_state_dict _named_members
    _get_name _get_backward_hooks _replicate_for_data_parallel _register_state_dict_hook forward modules children
    named_children parameters buffers named_modules named_parameters named_buffers state_dict load_state_dict train
    eval zero_grad requires_grad_ apply to type float double half cpu cuda register_forward_hook
    register_forward_pre_hook register_buffer register_parameter add_module get_submodule get_parameter extra_repr
    share_memory compile reset_parameters
""".split()


@pytest.mark.parametrize("value", [RELU, partial(RELU, text("x"))], ids=["function", "partial"])
def test_nothing_of_the_class_is_hidden_by_a_function(cli, tmp_path, canary, value):
    names = [f"{name}.pt" for name in HIDING]
    for path, name in zip(names, HIDING, strict=True):
        write_pickle(tmp_path / path, linear(**{name: value}))
    for name, done in zip(HIDING, cli.each([("check", path, *CHECK[2:]) for path in names]), strict=True):
        assert_refused(done, canary)
        assert name in done.err


# not a method, and yet obeyed
OBEYED = {
    "call_super_init": TRUE,
    "_compiled_call_impl": RELU,
    "_is_full_backward_hook": RELU,
    "training": RELU,
    "_parameters": mapping([(text("weight"), RELU)]),
    "_buffers": mapping([(text("x"), RELU)]),
    "_modules": mapping([(text("x"), RELU)]),
    "_version": RELU,
    "T_destination": RELU,
    "dump_patches": RELU,
    "in_features": RELU,
    "__constants__": RELU,
    "__annotations__": RELU,
}


@pytest.mark.parametrize("name", OBEYED)
def test_an_attribute_that_torch_obeys_is_no_way_in(cli, tmp_path, canary, name):
    write_pickle(tmp_path / "m.pt", linear(**{name: OBEYED[name]}))
    done = cli(*CHECK)
    assert not canary.exists()
    assert "bug in gradflow" not in done.text, done.text
    assert "Traceback" not in done.text, done.text
    assert done.status in (0, 2), done.text


ODD_MODULES = {
    "name with a dot": sequential(**{"a.b": linear()}),
    "empty name": sequential(**{"": linear()}),
    "module that is a tensor": sequential(a=meta_tensor()),
    "module that is text": sequential(a=text("x")),
    "parameter that is a module": linear(_parameters=mapping([(text("weight"), linear()), (text("bias"), NONE)])),
    "parameter that is a number": linear(_parameters=mapping([(text("weight"), number(3)), (text("bias"), NONE)])),
    "no weight": linear(_parameters=mapping([(text("bias"), NONE)])),
    "weight of one axis": linear_with_weight(parameter(meta_tensor((3,), (1,)))),
    "weight of no entries": linear_with_weight(parameter(meta_tensor((0, 5), (5, 1)))),
    "training that is text": linear(training=text("yes")),
    "training that is missing": with_state(
        named("torch.nn.modules.linear", "Linear") + EMPTY_TUPLE + b"\x81", mapping([(text("_modules"), EMPTY_DICT)])
    ),
    "attribute without a name": with_state(
        named("torch.nn.modules.linear", "Linear") + EMPTY_TUPLE + b"\x81", mapping([(number(3), NONE)])
    ),
    "modules that are a list": linear(_modules=EMPTY_LIST),
    "convolution of zero groups": module("torch.nn.modules.conv", "Conv2d", groups=number(0)),
    "recurrent layer of many layers": module("torch.nn.modules.rnn", "LSTM", num_layers=number(10**9)),
    "recurrent layer without weights": module("torch.nn.modules.rnn", "GRU", _all_weights=EMPTY_LIST),
    "abstract module": module("torch.nn.modules.module", "Module"),
    "lazy module": module("torch.nn.modules.lazy", "LazyModuleMixin"),
    "lazy layer": module("torch.nn.modules.linear", "LazyLinear", in_features=number(0)),
    "parallel module": module("torch.nn.parallel.data_parallel", "DataParallel", module=linear()),
    "list of modules": module("torch.nn.modules.container", "ModuleList", _modules=mapping([(text("x"), linear())])),
    "parametrised module": module("torch.nn.utils.parametrize", "ParametrizationList"),
    "module of another class": module("torch.nn.modules.linear", "Linear", __class__=named("torch", "Tensor")),
}


@pytest.mark.parametrize("case", ODD_MODULES)
def test_a_module_of_odd_parts_is_one_error(cli, tmp_path, canary, case):
    write_pickle(tmp_path / "m.pt", ODD_MODULES[case])
    assert_refused(cli(*CHECK, timeout=10), canary)


BUFFERS = mapping([(text("seen"), meta_tensor())])
ODD_AND_HARMLESS = {
    "parameter in two roles": linear(_modules=mapping([(text("weight"), linear())])),
    "persistence that is a number": linear(_non_persistent_buffers_set=number(3), _buffers=BUFFERS),
    "persistence that is text": linear(_non_persistent_buffers_set=text("seen"), _buffers=BUFFERS),
    "weights of their own": linear(_buffers=mapping([(text("weight"), meta_tensor())])),
    "backward hook that is text": linear(_is_full_backward_hook=text("x")),
    "attribute that is a module": linear(other=linear()),
    "attribute that is a weight": linear(other=parameter(meta_tensor())),
    "name of spaces": sequential(**{"   ": linear()}),
    "name of a method": sequential(forward=linear(), parameters=linear(), modules=linear()),
    "name of an attribute": sequential(training=linear(), _modules=linear()),
    "padding of text": module("torch.nn.modules.conv", "Conv2d", padding=text("x"), stride=NONE),
    "probability of dropout": sequential(a=linear(), b=module("torch.nn.modules.dropout", "Dropout", p=text("x"))),
}


@pytest.mark.parametrize("case", ODD_AND_HARMLESS)
def test_a_module_of_odd_parts_is_no_bug_of_gradflow(cli, tmp_path, canary, case):
    write_pickle(tmp_path / "m.pt", ODD_AND_HARMLESS[case])
    commands = (CHECK, ("audit", "m.pt", "--input-shape", "1,5"), ("layers", "m.pt"), (*CHECK, "--verify"))
    for done in cli.each(commands):
        assert_refused_or_harmless(done, canary)
        assert "bug in gradflow" not in done.text, done.text


OF_EVERY_MODULE = [*HOOKS, "_non_persistent_buffers_set", "_is_full_backward_hook", "_buffers", "_modules", "training"]


@pytest.mark.parametrize("place", ["whole", "member"])
@pytest.mark.parametrize("name", OF_EVERY_MODULE)
def test_a_module_without_what_every_module_has_is_no_bug_of_gradflow(cli, tmp_path, canary, name, place):
    """Old versions of torch did not write all of it; nobody wrote a module without any."""
    odd = linear(without=name, _buffers=BUFFERS)
    write_pickle(tmp_path / "m.pt", odd if place == "whole" else sequential(a=odd))
    for done in cli.each(
        [CHECK, ("audit", "m.pt", "--input-shape", "1,5"), ("layers", "m.pt", "--input-shape", "1,5")]
    ):
        assert_refused_or_harmless(done, canary)


ON_WEIGHTS = {
    "hook of a tensor": tensor(storage("0", 0), (0,), (1,), hooks=ordered([(number(0), RELU)])),
    "hooks that are a list": tensor(storage("0", 0), (0,), (1,), hooks=listed(RELU)),
    "metadata of a tensor": tensor(storage("0", 0), (0,), (1,), more=mapping([(text("x"), TRUE)])),
    "hook of a parameter": parameter(meta_tensor(), ordered([(number(0), RELU)])),
    "attribute of a tensor": through_rebuild(
        named("torch._utils", "_rebuild_meta_tensor_no_storage"), state=mapping([(text("backward"), RELU)])
    ),
}


@pytest.mark.parametrize("case", ON_WEIGHTS)
def test_a_hook_of_a_weight_is_refused(cli, tmp_path, canary, case):
    write_pickle(tmp_path / "m.pt", linear_with_weight(ON_WEIGHTS[case]), s0=b"")
    assert_refused(cli(*CHECK), canary)


@pytest.mark.parametrize(
    "name",
    ["_backward_hooks", "_post_accumulate_grad_hooks", "grad_fn", "__torch_function__", "backward", "detach", "data"],
)
def test_an_attribute_of_a_weight_does_not_hide_one_of_tensors(cli, tmp_path, canary, name):
    rebuild = named("torch._utils", "_rebuild_parameter_with_state")
    state = mapping([(text(name), RELU)])
    weight = rebuild + b"(" + meta_tensor() + TRUE + ordered() + state + b"tR"
    write_pickle(tmp_path / "m.pt", linear_with_weight(weight))
    assert_refused(cli(*CHECK), canary)


@pytest.mark.parametrize(
    ("cls_module", "name"),
    [
        ("torchvision.models.feature_extraction", "DualGraphModule"),
        ("timm.models._features_fx", "FeatureGraphNet"),
        ("timm.layers.config", "set_exportable"),
        ("torchvision.models._utils", "IntermediateLayerGetter"),
    ],
)
def test_a_class_that_runs_code_when_it_is_restored_is_refused(cli, tmp_path, canary, cls_module, name):
    needs(cls_module)
    state = {"_code": text("def forward(self, x): pass"), "_graph": NONE, "training": FALSE}
    write_pickle(tmp_path / "m.pt", module(cls_module, name, **state))
    assert_refused(cli(*CHECK), canary)
