"""``gradflow.explain()`` in each other, in threads, coroutines and decorators: torch is as it was, nobody is misled."""

from __future__ import annotations

import asyncio
import threading
import traceback

import pytest

torch = pytest.importorskip("torch")

import gradflow  # noqa: E402
from gradflow.errors import UsageError  # noqa: E402
from gradflow.location import own_directory  # noqa: E402

layer = torch.nn.Linear(2, 2)
x = torch.ones(1, 2)


def settings() -> tuple[object, ...]:
    return (
        torch._C._len_torch_function_stack(),
        torch.autograd.grad,
        torch.autograd.backward,
        torch.nn.Module.__init__,
        torch.optim.Optimizer.__init__,
    )


@pytest.fixture(autouse=True)
def unchanged():
    before = settings()
    yield
    assert settings() == before


def train() -> None:
    layer.zero_grad()
    layer(x).sum().backward()


def fail() -> None:
    layer(x).detach().sum().backward()


def names(report: gradflow.Report | None) -> list[str]:
    assert report is not None
    return [one.name for one in report.diagnostics]


def test_a_block_inside_another_one_is_part_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    inner = gradflow.explain()
    with gradflow.explain(quiet=True) as outer:
        train()
        with inner:
            train()
        assert inner.report is None
    assert outer.report is inner.report
    assert "2 backward passes" in outer.report.environment.watched
    assert capsys.readouterr().err == ""


def test_a_decorated_function_may_call_itself() -> None:
    explanation = gradflow.explain(quiet=True)

    @explanation
    def step(depth: int) -> str:
        return step(depth - 1) if depth else train() or "done"

    assert step(3) == "done"
    assert explanation.report.verdict == "connected"


def test_it_decorates_without_parentheses(capsys: pytest.CaptureFixture[str]) -> None:
    assert gradflow.explain(train)() is None
    assert "no fault found" in capsys.readouterr().err


def test_it_can_be_used_again_but_not_inside_itself() -> None:
    explanation = gradflow.explain(quiet=True)
    with explanation, pytest.raises(RuntimeError):
        fail()
    assert names(explanation.report) == ["detach"]
    with explanation:
        train()
        with pytest.raises(UsageError, match="running already"), explanation:
            pass
    assert names(explanation.report) == []


def test_a_coroutine_function_is_watched_until_it_returns() -> None:
    explanation = gradflow.explain(quiet=True)

    @explanation
    async def step() -> int:
        score = layer(x).sum()
        await asyncio.sleep(0)
        score.backward()
        return 7

    assert asyncio.run(step()) == 7
    assert "1 backward pass" in explanation.report.environment.watched


def test_of_coroutines_that_overlap_the_first_is_watched_and_the_other_is_told() -> None:
    async def step(delay: float) -> gradflow.Report | None:
        with gradflow.explain(quiet=True) as explanation:
            score = layer(x).sum()
            await asyncio.sleep(delay)
            score.backward()
        return explanation.report

    async def both() -> list[gradflow.Report | None]:
        return await asyncio.gather(step(0.0), step(0.05))

    first, second = asyncio.run(both())
    assert first.verdict == "connected"
    assert any("only one can watch" in text for text in second.undetermined)


def test_another_thread_may_be_watched_only_when_no_one_else_is(capsys: pytest.CaptureFixture[str]) -> None:
    reports = []

    def work() -> None:
        with gradflow.explain() as explanation:
            train()
        reports.append(explanation.report)

    with gradflow.explain(quiet=True) as outer:
        train()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert outer.report.verdict == "connected"
    assert any("only one can watch" in text for text in reports[0].undetermined)
    assert "was not watched" in capsys.readouterr().err
    work()
    assert reports[1].verdict == "connected"


def test_what_another_thread_does_is_not_taken_for_a_fault_of_the_block() -> None:
    def work() -> None:
        with pytest.raises(RuntimeError):
            fail()

    with gradflow.explain(quiet=True) as explanation:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        train()
    assert names(explanation.report) == []


def generator():
    yield train()


async def asynchronous_generator():
    yield train()


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (generator, "a generator"),
        (asynchronous_generator, "a generator"),
        (torch.nn.Linear, "a class"),
        (staticmethod(train), "a staticmethod"),
        (3, "`3`"),
    ],
)
def test_what_does_not_run_in_one_go_is_refused(thing: object, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        gradflow.explain()(thing)
    assert said in str(caught.value)
    assert "help: " in str(caught.value)


def test_a_block_in_a_generator_is_watched_while_it_runs() -> None:
    def batches():
        with gradflow.explain(quiet=True) as explanation:
            for _ in range(2):
                yield train()
        yield explanation.report

    *_, report = batches()
    assert "2 backward passes" in report.environment.watched


def test_the_traceback_is_the_programs_own() -> None:
    with pytest.raises(RuntimeError) as caught, gradflow.explain(quiet=True):
        fail()
    files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert files[-1].endswith("graph.py")
    assert not any(file.startswith(own_directory()) for file in files)


# -------------------------------------------------------------------------------------------- what ran before the block


def test_a_score_that_lost_its_history_before_the_block_is_explained_from_the_source() -> None:
    scores = layer(x)
    loss = scores.detach().sum()
    explanation = gradflow.explain(quiet=True)
    with pytest.raises(RuntimeError), explanation:
        loss.backward()
    first = explanation.report.diagnostics[0]
    assert (first.name, first.severity) == ("detach", "error")
    assert explanation.report.undetermined == ("what ran before the block, because it was not seen",)


def test_a_forward_before_the_block_is_no_fault() -> None:
    layer.zero_grad()
    loss = layer(x).sum()
    with gradflow.explain(quiet=True) as explanation:
        loss.backward()
        assert layer.weight.grad is not None
    assert (explanation.report.verdict, names(explanation.report)) == ("connected", [])


def test_an_activation_of_an_earlier_pass_is_told_from_the_graph() -> None:
    features = layer(x)
    explanation = gradflow.explain(quiet=True)
    with pytest.raises(RuntimeError), explanation:  # noqa: PT012  (all of it is the block)
        score = layer(x).sum()
        torch.autograd.grad(score, features)
    assert (explanation.report.verdict, names(explanation.report)) == ("stale", ["stale-activation"])


def test_what_was_cut_before_the_block_is_found_where_the_source_tells() -> None:
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    image = torch.ones(1, 2, requires_grad=True)
    features = first(image).detach()
    with gradflow.explain(quiet=True) as explanation:
        score = second(features).sum()
        score.backward()
        shown = str(image.grad)
    assert (shown, names(explanation.report)) == ("None", ["detach"])


@pytest.mark.parametrize("told", ["never", "before", "inside"])
def test_without_that_nothing_is_claimed_of_what_ran_before(told: str) -> None:
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    ways = {"first": lambda: first(x).detach()}
    hidden = ways["first"]().requires_grad_(told == "before")
    with gradflow.explain(quiet=True) as explanation:
        hidden.requires_grad_(told != "never")
        score = second(hidden).sum()
        score.backward()
        shown = str(first.weight.grad)
    assert shown == "None"
    assert (explanation.report.verdict, explanation.report.diagnostics) == ("not determined", ())
    (told,) = explanation.report.undetermined
    assert told == "why no gradient came at `first.weight`, because what ran before the block was not seen"


def test_where_nothing_was_raised_no_exception_is_told() -> None:
    """A leaf that is made anew begins a history, and is on no way to another leaf."""
    used = torch.randn(3, requires_grad=True)
    unused = torch.randn(3, requires_grad=True)
    hidden = (used * 2).exp()
    with gradflow.explain(quiet=True) as explanation:
        loss = hidden.sum()
        loss.backward()
        shown = str(unused.grad)
    assert (shown, explanation.report.verdict, names(explanation.report)) == ("None", "not determined", [])
    assert "could not be computed" not in str(explanation.report)
    assert "`unused`" in str(explanation.report)


def test_a_gradient_that_came_and_was_cleared_is_not_missed() -> None:
    leaf = torch.randn(3, requires_grad=True)
    hidden = (leaf * 2).exp()
    with gradflow.explain(quiet=True) as explanation:
        loss = hidden.sum()
        loss.backward()
        leaf.grad = None
        shown = str(leaf.grad)
    assert (shown, explanation.report.verdict, names(explanation.report)) == ("None", "connected", [])


def test_of_what_came_to_be_in_the_block_it_is_known_that_it_takes_no_part() -> None:
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    with gradflow.explain(quiet=True) as explanation:
        score = second(torch.ones(1, 2, requires_grad=True)).sum()
        score.backward()
        shown = str(first.weight.grad)
    assert (shown, explanation.report.verdict, explanation.report.undetermined) == ("None", "unused", ())
