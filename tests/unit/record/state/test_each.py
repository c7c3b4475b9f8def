from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import pytest
import torch
from torch import nn

from gradflow.record.state import preserved
from gradflow.record.state import settings as settings_module
from gradflow.record.state.each import do_each
from gradflow.record.state.settings import Settings
from gradflow.torch_facts.settings.flags import Setting


def _failing(error: BaseException) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error

    return fail


def test_one_that_raises_keeps_no_other_from_being_done() -> None:
    done: list[int] = []
    with pytest.raises(ValueError, match="first"):
        do_each(
            (_failing(ValueError("first")), lambda: done.append(1), _failing(KeyError("2nd")), lambda: done.append(2))
        )
    assert done == [1, 2]


def test_nothing_is_raised_where_nothing_was() -> None:
    done: list[int] = []
    do_each([lambda: done.append(1)])
    assert done == [1]


class Key:
    is_broken = False

    def __hash__(self) -> int:
        if Key.is_broken:
            raise ValueError("no hash any more")
        return 1


def test_an_object_that_cannot_be_put_back_keeps_nothing_else_from_it() -> None:
    model = nn.Linear(2, 2)
    model.kept, model.later = {Key()}, [1]  # type: ignore[assignment]
    model.register_buffer("count", torch.zeros(1))
    found = model.weight.detach().clone()
    Key.is_broken = False

    def run() -> None:
        with preserved(model) as keeper:
            model.kept.clear()  # type: ignore[operator]
            model.later.append(2)  # type: ignore[operator]
            model.count += 1
            keeper.before_write(model.weight)
            model.weight.data.add_(1)
            model.weight.requires_grad_(False)
            model.eval()
            Key.is_broken = True

    with pytest.raises(ValueError, match="no hash any more"):
        run()
    assert (model.later, model.count.item(), model.training, model.weight.requires_grad) == ([1], 0, True, True)
    assert torch.equal(model.weight, found)


def test_a_setting_that_cannot_be_written_leaves_no_other_one_as_the_run_left_it(monkeypatch) -> None:
    settings = Settings()
    order = [setting.read for setting in settings_module._SETTINGS].index(torch.get_default_dtype)
    refusing = Setting(torch.get_default_dtype, lambda found: torch.set_default_dtype("refused"))
    changed = list(settings_module._SETTINGS)
    changed[order] = refusing
    monkeypatch.setattr(settings_module, "_SETTINGS", tuple(changed))
    threads, hooks = torch.get_num_threads(), nn.modules.module._global_forward_hooks
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(threads + 1)
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        with pytest.raises(TypeError):
            settings.restore()
        assert torch.get_num_threads() == threads
        assert handle.id not in hooks
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(threads)
        handle.remove()
