"""What an experiment at the seam of a run sees, changes, and leaves as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from gradflow.errors import InternalError
from gradflow.load.loading import workload_from_objects
from gradflow.record.program_sites import ProgramSites
from gradflow.record.recorder import Recorder
from gradflow.record.run import Run, run_forward
from gradflow.record.seam.intervention import AS_IT_IS, Call, Instead, Intervention, InTurn


class Model(nn.Module):
    def __init__(self, compute: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.compute = compute

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.compute(x).sum()


def run(compute: Callable[[torch.Tensor], torch.Tensor], seam: Intervention | None = None) -> Run:
    x = torch.arange(1.0, 7.0).reshape(2, 3).requires_grad_()
    sites = ProgramSites()
    return run_forward(
        workload_from_objects(Model(compute), x), {}, {}, sites=sites, recorder=Recorder(sites, seam=seam)
    )


def names(one: Run) -> list[str]:
    return [one.recording.name_of(row) for row in range(len(one.recording))]


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0] * 2


def of_many_kinds(x: torch.Tensor) -> torch.Tensor:
    h = nn.functional.relu(x, inplace=False)
    h = torch.add(h, torch.zeros(2, 3), out=torch.empty(2, 3)) if not h.requires_grad else h + 0.5
    h = Doubled.apply(h)
    with torch.no_grad():
        scale = float(h.max())
    parts = (h * scale).clone()
    parts[0] = parts[1] * 2
    again = checkpoint(torch.sin, parts, use_reentrant=True)
    return again + torch.from_numpy(h.detach().numpy())


class Looking(Intervention):
    """Notes what it is shown, and computes something itself."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.rows: list[int] = []
        self.met: list[tuple[int, ...]] = []

    def before(self, call: Call) -> Any:
        self.shown.append(call.name)
        call.memo = [one.sum() for one in call.given if isinstance(one, torch.Tensor)]
        return AS_IT_IS

    def after(self, call: Call, result: Any) -> Any:
        self.rows += call.rows
        if isinstance(result, torch.Tensor):
            (result.detach() * 2).sum()
        return result

    def meet(self, recorder: Any, value: int, tensor: torch.Tensor) -> None:
        self.met.append(tuple((tensor.detach() + 1).shape))


def test_a_run_with_an_experiment_that_only_looks_is_recorded_as_one_without() -> None:
    looking = Looking()
    plain, shown = run(of_many_kinds), run(of_many_kinds, looking)
    assert names(plain) == names(shown)
    for columns in ("operations", "values"):
        one, other = getattr(plain.recording, columns), getattr(shown.recording, columns)
        for column in one.__slots__ if hasattr(one, "__slots__") else vars(one):
            if column not in ("name", "sequence_start", "sequence_end"):
                assert list(getattr(one, column)) == list(getattr(other, column)), column
    assert plain.live.score is not None
    assert shown.live.score is not None
    assert plain.live.score.item() == shown.live.score.item()


def test_every_row_is_shown_once_and_what_comes_from_outside_as_it_comes() -> None:
    looking = Looking()
    shown = run(of_many_kinds, looking)
    assert {"relu", "Doubled.apply", "from_numpy", "sin", "CheckpointFunction.apply"} <= set(looking.shown)
    assert sorted(set(looking.rows)) == list(range(len(shown.recording)))
    assert looking.met[0] == (2, 3)


class Replacing(Intervention):
    def before(self, call: Call) -> Any:
        return call.arguments[0] * 10 if call.name == "relu" else AS_IT_IS

    def after(self, call: Call, result: Any) -> Any:
        return result + 1000 if call.name == "mul" else result


def test_what_takes_the_place_of_an_operation_goes_on_and_what_it_computed_itself_is_no_part_of_the_run() -> None:
    changed = run(lambda x: torch.relu(x).mul(2), Replacing())
    assert names(changed) == ["mul", "sum"]
    assert changed.live.score is not None
    assert changed.live.score.item() == 6 * 1000 + 21 * 10 * 2


def test_arguments_may_be_exchanged() -> None:
    class Exchanging(Intervention):
        def before(self, call: Call) -> Any:
            if call.name == "mul":
                call.arguments = (call.arguments[0], 5)
            return AS_IT_IS

    changed = run(lambda x: x.mul(2), Exchanging())
    assert changed.live.score is not None
    assert changed.live.score.item() == 21 * 5


def test_a_part_of_the_program_that_runs_instead_is_recorded() -> None:
    class Opening(Intervention):
        def before(self, call: Call) -> Any:
            if not call.runs_modules:
                return AS_IT_IS
            function, _, *given = call.arguments
            return Instead(lambda: function(*given))

    opened = run(lambda x: checkpoint(torch.cos, x, use_reentrant=True), Opening())
    assert names(opened) == ["cos", "sum"]


def test_the_next_experiment_is_shown_what_the_one_before_it_gives() -> None:
    class Adding(Intervention):
        def __init__(self, number: float) -> None:
            self.number = number
            self.given: list[float] = []

        def before(self, call: Call) -> Any:
            call.memo = self.number
            return AS_IT_IS

        def after(self, call: Call, result: Any) -> Any:
            assert call.memo == self.number
            self.given.append(result.item())
            return result + self.number

    first, second = Adding(1.0), Adding(10.0)
    changed = run(lambda x: x, InTurn(first, second))
    assert (first.given, second.given) == ([21.0], [22.0])
    assert changed.live.score is not None
    assert changed.live.score.item() == 32.0


def test_what_one_experiment_replaces_did_not_run_for_any() -> None:
    class Replacing(Intervention):
        def before(self, call: Call) -> Any:
            return torch.zeros(()) if call.name == "sum" else AS_IT_IS

    class Seeing(Intervention):
        def __init__(self) -> None:
            self.asked: list[str] = []
            self.ran: list[str] = []

        def before(self, call: Call) -> Any:
            self.asked.append(call.name)
            return AS_IT_IS

        def after(self, call: Call, result: Any) -> Any:
            self.ran.append(call.name)
            return result

    first, last = Seeing(), Seeing()
    run(torch.cos, InTurn(first, Replacing(), last))
    assert (first.asked, first.ran) == (["cos", "sum"], ["cos"])
    assert (last.asked, last.ran) == (["cos"], ["cos"])


def test_a_switch_may_be_left_out() -> None:
    class Keeping(Intervention):
        def keeps_recording(self, site: int) -> bool:
            return True

    def switched(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            h = x * 2
        with torch.inference_mode():
            return h * 3

    assert not run(switched).recording.values.requires_grad[-1]
    assert run(switched, Keeping()).recording.values.requires_grad[-1]


def test_what_fails_in_an_experiment_is_ours() -> None:
    class Failing(Intervention):
        def after(self, call: Call, result: Any) -> Any:
            raise ValueError("in the experiment")

    with pytest.raises(InternalError, match="in the experiment"):
        run(lambda x: x * 2, Failing())


def test_what_fails_in_the_model_is_the_models() -> None:
    failed = run(lambda x: x @ x, Looking())
    assert failed.failure is not None
    assert failed.failure.type_name == "RuntimeError"


def test_functions_that_are_no_operations_are_shown_where_they_are_watched() -> None:
    class Watching(Intervention):
        watches = frozenset({torch.Tensor.register_hook})

        def __init__(self) -> None:
            self.seen: list[bool] = []

        def before(self, call: Call) -> Any:
            if call.is_watched:
                self.seen.append(callable(call.arguments[1]))
            return AS_IT_IS

    def hooked(x: torch.Tensor) -> torch.Tensor:
        h = x * 2
        h.register_hook(lambda gradient: gradient)
        return h

    watching = Watching()
    run(hooked, watching)
    assert watching.seen == [True]
