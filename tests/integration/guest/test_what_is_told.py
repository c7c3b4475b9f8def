"""What a report says of itself, and that it is plain data."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import gradflow
from gradflow.errors import ScoreError
from gradflow.torch_facts.settings.flags import settings_by_pairs

RUNS: list[int] = []


class Net(nn.Module):
    def __init__(self, *, is_lazy: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc: nn.Module = nn.LazyLinear(2) if is_lazy else nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        RUNS.append(1)
        out: Tensor = self.fc(self.conv(x).mean((2, 3)))
        return out


CALLS: dict[str, tuple[Callable[[], gradflow.Report], int]] = {
    "a layer": (lambda: gradflow.check(Net(), "conv", inputs=torch.ones(1, 3, 8, 8)), 1),
    "a layer to choose": (lambda: gradflow.check(Net(), inputs=torch.ones(1, 3, 8, 8)), 2),
    "a lazy layer": (lambda: gradflow.check(Net(is_lazy=True), "conv", inputs=torch.ones(1, 3, 8, 8)), 2),
}


@pytest.mark.parametrize("call", CALLS)
def test_every_forward_pass_is_counted(call: str) -> None:
    RUNS.clear()
    run, expected = CALLS[call]
    assert run().environment.forward_count == len(RUNS) == expected


def test_a_guessed_input_counts_what_was_tried() -> None:
    RUNS.clear()
    assert gradflow.check(Net()).environment.forward_count == len(RUNS) > 2


def test_a_report_goes_to_another_process() -> None:
    report = gradflow.check(Net(), "conv", inputs=torch.ones(1, 3, 8, 8))
    again = pickle.loads(pickle.dumps(report))
    assert again.verdict == report.verdict
    assert list(again.graph.edges) == list(report.graph.edges)


@pytest.mark.parametrize("score", [lambda output: output.sum() * 1j, lambda output: 1j])
def test_a_complex_score_is_refused(score: Callable[[Tensor], object]) -> None:
    with pytest.raises(ScoreError, match="complex"):
        gradflow.check(Net(), "conv", inputs=torch.ones(1, 3, 8, 8), score=score)


def test_a_lazy_model_leaves_its_input_and_all_random_numbers_alone() -> None:
    class Draws(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.LazyLinear(2)

        def forward(self, x: Tensor) -> Tensor:
            x.mul_(2).add_(random.random() + torch.rand(1))
            out: Tensor = self.a(x)
            return out

    model, x = Draws(), torch.ones(2, 4)
    before = random.getstate(), torch.get_rng_state()
    gradflow.check(model, "a", inputs=x)
    assert torch.equal(x, torch.ones(2, 4))
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert isinstance(model.a, nn.LazyLinear)


def test_each_flag_of_torch_can_be_written_back() -> None:
    settings = settings_by_pairs()
    found = [setting.read() for setting in settings]
    for setting, value in zip(settings, found, strict=True):
        setting.write(value)
    assert [setting.read() for setting in settings] == found


@pytest.mark.parametrize(
    ("read", "change"),
    [
        (torch.get_float32_matmul_precision, lambda: torch.set_float32_matmul_precision("medium")),
        (torch.backends.cuda.flash_sdp_enabled, lambda: torch.backends.cuda.enable_flash_sdp(False)),
        (lambda: repr(torch.tensor(0.123456)), lambda: torch.set_printoptions(precision=2)),
    ],
)
def test_a_flag_that_the_model_changes_is_put_back(read: Callable[[], object], change: Callable[[], None]) -> None:
    class Changes(Net):
        def forward(self, x: Tensor) -> Tensor:
            change()
            return super().forward(x)

    before = read()
    gradflow.check(Changes(), "conv", inputs=torch.ones(1, 3, 8, 8))
    assert read() == before
