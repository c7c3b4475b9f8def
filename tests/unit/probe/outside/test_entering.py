"""What follows a layer and comes in from outside the record is seen, beside a way that is whole; nothing else is."""

from __future__ import annotations

import io
import logging
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest
import torch
from torch import nn

import gradflow

X = torch.linspace(-1, 1, 12).reshape(3, 4)
MASK = torch.tensor([1.0, 0.5, 0.25, 0.125])


@torch.jit.script
def compiled_stop(x: torch.Tensor) -> torch.Tensor:
    return x.detach() * 2


@torch.jit.script
def compiled(x: torch.Tensor) -> torch.Tensor:
    return torch.sin(x) * 2


class Beside(nn.Module):
    """A layer whose value goes on twice: as it is, and through ``side``."""

    def __init__(self, side: Callable[[nn.Module, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)
        self.side = side
        self.constant = torch.full((4,), 0.3)
        self.kept: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.layer(x))
        return self.head(0.3 * x + self.side(self, x))


def in_a_thread(model, x):
    thread = Thread(target=lambda: model.kept.append(x.detach() * 1.5))
    thread.start()
    thread.join()
    return model.kept[-1]


def in_a_pool_without_gradients(model, x):
    def work(row):
        with torch.no_grad():
            return torch.sin(row)

    with ThreadPoolExecutor(1) as pool:
        return torch.stack(list(pool.map(work, x)))


def in_a_compiled_function(model, x):
    return compiled_stop(x)


def through_a_file_in_memory(model, x):
    file = io.BytesIO()
    torch.save(x.detach(), file)
    file.seek(0)
    return torch.load(file)


def through_pickle(model, x):
    return pickle.loads(pickle.dumps(x.detach()))


def through_its_storage(model, x):
    return torch.empty(0).set_(x.detach().untyped_storage(), 0, x.shape)


def through_text(model, x):
    return x.new_full(x.shape, 1.0) * float(f"{x[0, 0]:.7f}")


UNSEEN = [
    in_a_thread, in_a_pool_without_gradients, in_a_compiled_function, through_a_file_in_memory, through_pickle,
    through_its_storage, through_text,
]  # fmt: skip


@pytest.mark.parametrize("side", UNSEEN, ids=lambda side: side.__name__)
def test_an_unseen_way_beside_a_whole_one_is_not_connected(side) -> None:
    report = gradflow.check(Beside(side), "layer", inputs=X, target=1)
    assert report.verdict == "not determined", str(report)
    assert report.diagnostics == ()
    (sentence,) = report.undetermined
    assert "a value that follows `layer` comes in at" in sentence
    assert report.environment.forward_count == 3


def test_it_is_measured_where_that_is_asked_for() -> None:
    report = gradflow.check(Beside(in_a_thread), "layer", inputs=X, target=1, verify=True)
    assert report.verdict == "wrong"


def with_history_in_a_thread(model, x):
    thread = Thread(target=lambda: model.kept.append(x * 1.5))
    thread.start()
    thread.join()
    return model.kept[-1]


def with_history_in_a_compiled_function(model, x):
    return compiled(x)


def a_constant_that_the_model_holds(model, x):
    return x * model.constant


def a_constant_of_the_file(model, x):
    return x * MASK


def made_for_the_size(model, x):
    places = torch.arange(x.shape[1], dtype=x.dtype)
    return x + torch.empty(x.shape[1]).copy_(places)


def written_down_in_a_log(model, x):
    logging.getLogger("unit").debug("%s", f"{x.mean():.3f}")
    return x * 2


def a_random_tensor(model, x):
    return x + torch.rand(4)


def a_whole_number_from_a_thread(model, x):
    thread = Thread(target=lambda: model.kept.append(x.detach().argmax(1)))
    thread.start()
    thread.join()
    return x.gather(1, model.kept[-1][:, None]).expand(3, 4)


HEALTHY = {
    with_history_in_a_thread: 1,
    with_history_in_a_compiled_function: 1,
    a_constant_that_the_model_holds: 1,
    a_constant_of_the_file: 3,
    made_for_the_size: 1,
    written_down_in_a_log: 3,
    a_random_tensor: 1,
    a_whole_number_from_a_thread: 1,
}


@pytest.mark.parametrize("side", HEALTHY, ids=lambda side: side.__name__)
def test_what_is_whole_is_connected_and_costs_nothing_where_all_is_recorded(side) -> None:
    report = gradflow.check(Beside(side), "layer", inputs=X, target=1)
    assert (report.verdict, report.diagnostics, report.undetermined) == ("connected", (), ())
    assert report.environment.forward_count == HEALTHY[side]


def test_a_parameter_is_followed_as_well() -> None:
    report = gradflow.check(Beside(in_a_thread), inputs=X, target=1, parameter=["layer.weight", "head.weight"])
    verdicts = {one.target.name: one.verdict for one in report.reports}
    assert verdicts == {"layer.weight": "not determined", "head.weight": "connected"}


def test_an_audit_says_so_too() -> None:
    (sentence,) = gradflow.audit(Beside(in_a_thread), inputs=X).undetermined
    assert "a value that follows a parameter comes in at" in sentence
    assert gradflow.audit(Beside(a_constant_of_the_file), inputs=X).undetermined == ()
    assert gradflow.audit(Beside(with_history_in_a_thread), inputs=X).environment.forward_count == 1
