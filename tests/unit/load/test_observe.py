from __future__ import annotations

import gc
import inspect

import pytest
import torch

from gradflow.load.observe import BuildObserver


def line_of(text, function):
    lines, start = inspect.getsourcelines(function)
    return next(start + i for i, line in enumerate(lines) if text in line)


def built(factory):
    with BuildObserver() as observer:
        model = factory()
    return model, observer.provenance(model)


@pytest.fixture(autouse=True)
def grad_mode_as_it_was():
    yield
    torch.set_grad_enabled(True)


def test_every_way_to_freeze_is_seen_at_its_line():
    def factory():
        model = torch.nn.ModuleDict({name: torch.nn.Linear(2, 2, bias=False) for name in "abcdef"})
        model["a"].requires_grad_(False)  # by module
        model["b"].weight.requires_grad_(False)  # by method
        model["c"].weight.requires_grad = False  # by attribute
        model["d"].weight = torch.nn.Parameter(torch.ones(2, 2), requires_grad=False)  # from birth
        model["e"].weight.detach_()  # by detaching
        return model

    _, seen = built(factory)
    for name, comment in zip("abcde", ("module", "method", "attribute", "birth", "detaching"), strict=True):
        assert seen.frozen_at[f"{name}.weight"].line == line_of(
            f"by {comment}" if comment != "birth" else "from birth", factory
        )
        assert seen.frozen_at[f"{name}.weight"].path == __file__
    assert "f.weight" not in seen.frozen_at


def test_a_parameter_that_is_thawed_again_is_not_reported():
    def factory():
        model = torch.nn.Linear(2, 2).requires_grad_(False)
        model.weight.requires_grad = True
        return model

    _, seen = built(factory)
    assert set(seen.frozen_at) == {"bias"}


def test_the_last_registration_counts():
    def factory():
        model = torch.nn.Module()
        model.head = torch.nn.Linear(2, 2)
        model.head = torch.nn.Linear(2, 3)  # again
        model.body = torch.nn.Sequential(torch.nn.Linear(1, 1))  # within
        return model

    _, seen = built(factory)
    assert seen.registered_at["head"].line == line_of("# again", factory)
    assert seen.registered_at["body.0"].line == line_of("# within", factory)


def test_a_module_used_in_two_places_has_both():
    def factory():
        shared = torch.nn.Linear(2, 2)
        model = torch.nn.Module()
        model.first = shared  # one
        model.second = shared  # two
        return model

    _, seen = built(factory)
    assert seen.registered_at["first"].line == line_of("# one", factory)
    assert seen.registered_at["second"].line == line_of("# two", factory)


def test_grad_mode_left_off_is_named_and_left_off():
    def factory():
        with torch.no_grad():
            model = torch.nn.Linear(2, 2)
        torch.set_grad_enabled(False)  # left off
        return model

    _, seen = built(factory)
    assert not torch.is_grad_enabled()
    assert seen.grad_mode_at.line == line_of("# left off", factory)


def test_a_region_that_is_entered_and_never_left_is_named():
    def factory():
        torch.no_grad().__enter__()  # leaked
        return torch.nn.Linear(2, 2)

    _, seen = built(factory)
    assert seen.grad_mode_at.line == line_of("# leaked", factory)


def test_inference_mode_left_on_is_named():
    region = torch.inference_mode()

    def factory():
        region.__enter__()  # leaked
        return torch.nn.Linear(2, 2)

    try:
        _, seen = built(factory)
        assert seen.grad_mode_at.line == line_of("# leaked", factory)
    finally:
        region.__exit__(None, None, None)


def test_grad_mode_that_was_switched_on_again_is_not_reported():
    def factory():
        torch.set_grad_enabled(False)
        torch.set_grad_enabled(True)
        with torch.inference_mode():
            torch.ones(1)
        return torch.nn.Linear(2, 2)

    _, seen = built(factory)
    assert seen.grad_mode_at is None


def test_nothing_is_left_behind_also_when_the_factory_raises():
    from torch.nn.modules import module

    enter = torch.inference_mode.__enter__
    with pytest.raises(ZeroDivisionError), BuildObserver():
        raise ZeroDivisionError
    assert torch.inference_mode.__enter__ is enter
    assert not module._global_module_registration_hooks
    assert not module._global_parameter_registration_hooks
    assert not torch.overrides._get_current_function_mode_stack()


def test_nothing_is_kept_alive():
    import weakref

    with BuildObserver() as observer:
        model = torch.nn.Linear(2, 2).requires_grad_(False)
        gone = weakref.ref(model.weight)
        del model
        gc.collect()
        assert gone() is None
    assert observer.provenance(torch.nn.Linear(2, 2)).frozen_at == {}


def test_the_result_is_that_of_an_unobserved_build():
    def factory():
        torch.manual_seed(3)
        model = torch.nn.TransformerEncoderLayer(8, 2, batch_first=True).eval()
        return model, model(torch.ones(1, 4, 8))

    plain_model, plain_output = factory()
    with BuildObserver():
        model, output = factory()
    assert torch.equal(plain_output, output)
    assert all(torch.equal(one, other) for one, other in zip(plain_model.parameters(), model.parameters(), strict=True))
