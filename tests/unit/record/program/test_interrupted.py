"""A forward that Ctrl-C ends: what comes after is recorded again, and what was missed is said."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gradflow.record.program.watching import Watch
from gradflow.watch.explaining import explain_observation
from gradflow.watch.observation import Observation
from gradflow.watch.observing import observation_of


class Stopping:
    """An activation that raises once."""

    def __init__(self, error: type[BaseException] | None) -> None:
        self.error = error

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        error, self.error = self.error, None
        if error is not None:
            raise error
        return torch.relu(x)


class Outer(nn.Module):
    def __init__(self, activation: Stopping, *, has_fast_path: bool) -> None:
        super().__init__()
        self.inner = (
            nn.TransformerEncoderLayer(8, 2, batch_first=True, activation=activation, dropout=0.0)
            if has_fast_path
            else nn.Linear(8, 8)
        )
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(self.inner(x))


def interrupted(error: type[BaseException] | None, *, has_fast_path: bool = True, trains: bool = True) -> Observation:
    watch = Watch()
    model = Outer(Stopping(error), has_fast_path=has_fast_path).eval()
    head = nn.Linear(8, 1)
    depth = torch._C._len_torch_function_stack()
    with watch.watching():
        if error is None:
            with torch.no_grad():
                model(torch.ones(1, 3, 8))
        else:
            with pytest.raises(error), torch.no_grad():
                model(torch.ones(1, 3, 8))
        if trains:
            hidden = head(torch.ones(1, 8)).detach()
            with pytest.raises(RuntimeError, match="does not require grad"):
                hidden.sum().backward()
        assert watch.recorder.call == -1 or not trains
    assert torch._C._len_torch_function_stack() == depth
    return observation_of(watch)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("has_fast_path", [True, False])
def test_what_follows_is_recorded_again(error: type[BaseException], has_fast_path: bool) -> None:
    observation = interrupted(error, has_fast_path=has_fast_path)
    report = explain_observation(observation)
    assert [one.name for one in report.diagnostics] == ["detach"]
    # the calls of the interrupted forward are no parents of what came later
    assert [call.parent for call in observation.recording.calls if call.type_name == "Linear"][-1] == -1
    is_said = any("interrupted" in text for text in report.undetermined)
    assert is_said is has_fast_path


@pytest.mark.parametrize("error", [ValueError, None])
def test_after_an_exception_or_none_there_is_nothing_to_say(error: type[BaseException] | None) -> None:
    report = explain_observation(interrupted(error))
    assert [one.name for one in report.diagnostics] == ["detach"]
    assert not any("interrupted" in text for text in report.undetermined)


def test_torch_is_as_it_was_where_nothing_follows() -> None:
    interrupted(KeyboardInterrupt, trains=False)
