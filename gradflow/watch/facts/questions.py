"""What the program wanted to know of autograd, one :class:`Question` each, with what the recording says about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gradflow.graph.dependence import analyse
from gradflow.recording.gradients import Measured
from gradflow.recording.program.events import Backward, GradRead
from gradflow.source.asserted import asserts_absence
from gradflow.torch_facts.messages import of_backward
from gradflow.watch.facts.began import Beginnings
from gradflow.watch.facts.guards import Guards
from gradflow.watch.facts.wanted_zero import is_asserted_zero
from gradflow.watch.observation import Observation

__all__ = [
    "Question",
    "answers_in",
    "each_kind_in_turn",
    "question_of",
    "questions_in",
    "questions_left_out",
    "tests_in_vain",
]

_TURNS = 8
_QUESTIONS = 200


@dataclass(frozen=True, kw_only=True)
class Question:
    """One gradient that the program asked for.

    ``score`` and ``target`` are value ids; ``target`` is -1 where backward was to reach whatever it can. ``site`` is
    where the answer was looked at, ``operation`` when. ``is_waiting`` tells that a hook was to be given the gradient,
    ``is_standing`` that it belongs to a model, which arranges for it in each of its forwards.
    """

    backward: Backward
    backward_number: int
    score: int
    target: int
    measured: Measured
    site: int
    operation: int
    read: GradRead | None = None
    error: str = ""
    is_waiting: bool = False
    is_standing: bool = False

    @property
    def others(self) -> tuple[int, ...]:
        """What else the call asked for that asked for this."""
        asked = self.backward.inputs if self.read is None and self.backward.kind == "grad" else ()
        return tuple(value for value in asked if value not in (self.target, -1))

    @property
    def times(self) -> int:
        """How often the program asked it: of a loop, only the first turns are questions of their own."""
        return self.read.times if self.read is not None else 1

    @property
    def is_guard(self) -> bool:
        """Whether the program only asked whether it is there, to do something else if not."""
        return self.read is not None and self.read.is_guard

    @property
    def outcome(self) -> str:
        """What is seen of it at ``site`` where no gradient came, in words."""
        if self.error:
            return "torch raises here"
        if self.is_waiting:
            return "a hook waits for it here"
        return "`None` is read here" if self.read is not None else "`None` is returned here"


def questions_in(observation: Observation) -> tuple[Question, ...]:
    """The questions in the order in which their answers were looked at; of a loop, the first turns of each kind.

    Each parameter that lacks a gradient is among them once, however many a loop looks at.
    """
    return _kinds_of_questions(observation)[:_QUESTIONS]


def questions_left_out(observation: Observation) -> int:
    """How many are not gone into, because there are so many different ones."""
    return max(0, len(_kinds_of_questions(observation)) - _QUESTIONS)


def each_kind_in_turn(observation: Observation, questions: Sequence[Question]) -> tuple[Question, ...]:
    """The first of each place, with and without a way to the score, then the second of each, and so on.

    Who goes into the first only, because there are many, has then met them all: a loop may look at what is not used
    before it comes to what is cut off.
    """
    scores = _Scores(observation)
    counts: Counter[tuple[int, bool, bool]] = Counter()
    turns = []
    for question in questions:
        is_used = question.score >= 0 and question.target >= 0 and scores.uses(question.score, question.target)
        kind = question.site, question.measured.arrived, is_used
        turns.append(counts[kind])
        counts[kind] += 1
    return tuple(questions[n] for n in sorted(range(len(questions)), key=turns.__getitem__))


def _kinds_of_questions(observation: Observation) -> tuple[Question, ...]:
    kept = []
    counts: dict[object, int] = {}
    seen: set[tuple[object, int]] = set()
    for question in sorted(_questions(observation), key=lambda question: question.operation):
        measured = question.measured
        # a fault may come after many frozen ones
        is_wanted = question.read is None or question.read.requires_grad
        kind = (question.site, question.target >= 0, is_wanted, measured.arrived, measured.is_zero, measured.is_finite)
        counts[kind] = counts.get(kind, 0) + 1
        is_first = is_wanted and _lacks_gradient(observation, question) and (kind, question.target) not in seen
        if is_first or counts[kind] <= (_TURNS if measured.arrived else 3 * _TURNS):
            kept.append(question)
            seen.add((kind, question.target))
    return tuple(kept)


def _lacks_gradient(observation: Observation, question: Question) -> bool:
    """Whether it is about a parameter that got no gradient of use."""
    measured = question.measured
    is_of_use = measured.arrived and measured.is_finite and not measured.is_zero
    return not is_of_use and observation.recording.leaf_names.get(question.target, ("",))[0] == "parameter"


def answers_in(observation: Observation) -> tuple[Question, ...]:
    """Every answer that the program looked at; no mere test for `None`, and nothing that autograd refused."""
    return tuple(one for one in _questions(observation) if one.target >= 0 and not one.error and not one.is_guard)


def tests_in_vain(observation: Observation) -> tuple[Question, ...]:
    """Tests for `None` that never found a gradient, of leaves that require grad and never got one."""
    return tuple(one for one in _questions(observation) if one.is_guard)


def _questions(observation: Observation) -> Iterator[Question]:
    scores = _Scores(observation)
    for number, backward in enumerate(observation.program.backwards):
        score = backward.score
        common = {"backward": backward, "backward_number": number, "score": score, "site": backward.site}
        if backward.kind == "grad" and backward.inputs:
            refused = [i for i, needs in enumerate(backward.inputs_require_grad) if not needs]
            for i, target in enumerate(backward.inputs):
                if target < 0:
                    continue  # not a tensor that is known
                measured = backward.results[i] if i < len(backward.results) else Measured(arrived=False)
                if backward.error and backward.roots_require_grad and refused and i not in refused:
                    continue
                if backward.error and of_backward.at_index(backward.error) not in (None, i):
                    continue
                if _may_be_unused(observation, backward, target, measured, scores):
                    continue
                yield Question(
                    **common,  # type: ignore[arg-type]
                    target=target,
                    measured=measured,
                    operation=backward.operation,
                    error=backward.error,
                )
        elif backward.error:
            yield Question(
                **common,  # type: ignore[arg-type]
                target=-1,
                measured=Measured(arrived=False),
                operation=backward.operation,
                error=backward.error,
            )
    yield from _waiting_hooks(observation)
    guards = Guards(observation)
    for read in observation.program.reads:
        question = question_of(observation, read, scores) if not _is_meant(observation, read, guards) else None
        if question is not None:
            yield question


def _is_meant(observation: Observation, read: GradRead, guards: Guards) -> bool:
    """Whether the program only branches on a gradient, or asserts that there is none, or zero: it wants it so."""
    if (read.is_guard and not guards.is_in_vain(read)) or is_asserted_zero(observation, read):
        return True
    return not read.measured.arrived and asserts_absence(observation.recording.site_span(read.site))


class _Scores:
    """Which values the score of each backward was computed from; looked up once for each."""

    def __init__(self, observation: Observation) -> None:
        self.beginnings = Beginnings(observation)
        self._trace = observation.recording
        self._reaches: dict[int, bytearray] = {}
        self._depends: dict[int, bytearray] = {}

    def uses(self, score: int, value: int) -> bool:
        """Whether a score was computed from a value, cuts included."""
        if score not in self._reaches:
            self._reaches[score] = analyse(replace(self._trace, score=score), ()).reaches
        return bool(self._reaches[score][value])

    def is_made_of(self, score: int, value: int) -> bool:
        """The same, where many scores are asked about for each value."""
        if score < 0:
            return False
        if value not in self._depends:
            self._depends = {value: analyse(self._trace, (value,)).depends}
        return bool(self._depends[value][score])


def question_of(observation: Observation, read: GradRead, scores: _Scores | None = None) -> Question | None:
    """The question that reading a ``.grad`` asks; ``None`` before the first backward that the tensor was there for."""
    if read.backwards == 0:
        return None
    number = _backward_meant(observation, read, scores or _Scores(observation))
    if number < 0:
        return None
    backward = observation.program.backwards[number]
    return Question(
        backward=backward,
        backward_number=number,
        score=backward.score,
        target=read.value,
        measured=read.measured,
        site=read.site,
        operation=read.operation,
        read=read,
    )


def _may_be_unused(
    observation: Observation, backward: Backward, target: int, measured: Measured, scores: _Scores
) -> bool:
    """``allow_unused=True``: a leaf that the score is not computed from is expected to get nothing.

    One that it is computed from, and is cut from it, is not what the program allows.
    """
    if backward.fills_zeros and not measured.arrived:
        return True  # zeros are what the program wants there
    if measured.arrived or not backward.allow_unused:
        return False
    recording = observation.recording
    producer = recording.values.producer[target]
    is_leaf = producer < 0 or target in observation.program.made_at or not recording.inputs_of(producer)
    is_unused = bool(backward.roots) and is_leaf and not any(scores.uses(root, target) for root in backward.roots)
    is_of_many = any(result.arrived for result in backward.results)
    is_parameter = recording.leaf_names.get(target, ("",))[0] == "parameter" or target in observation.program.made_at
    return is_unused or (is_of_many and is_parameter)


def _waiting_hooks(observation: Observation) -> Iterator[Question]:
    """Hooks that were to be given a gradient, and never were although backward ran."""
    fired = {hook.site for hook in observation.program.tensor_hooks if hook.runs}
    waiting = [
        (h.value, h.site, h.backwards, h.call >= 0) for h in observation.program.tensor_hooks if h.site not in fired
    ]
    for hook in observation.program.hooks:
        if hook.kind == "backward" and not (hook.runs or hook.ran_unseen):
            end = hook.removed_at_call if hook.removed_at_call >= 0 else len(observation.recording.calls)
            calls = [
                call
                for call in observation.recording.calls[hook.first_call : end]
                if observation.program.call_modules[call.id] == hook.module and call.outputs
            ]
            if calls:
                value = calls[-1].outputs[0]
                since = sum(b.operation < calls[-1].first_operation for b in observation.program.backwards)
                waiting.append((value, hook.site, since, True))
    for value, site, since, is_standing in waiting:
        for number in range(since, len(observation.program.backwards)):
            backward = observation.program.backwards[number]
            if backward.kind == "backward" and not backward.error and backward.roots:
                yield Question(
                    backward=backward,
                    backward_number=number,
                    score=backward.score,
                    target=value,
                    measured=Measured(arrived=False),
                    site=site,
                    operation=backward.operation,
                    is_waiting=True,
                    is_standing=is_standing,
                )
                break


def _backward_meant(observation: Observation, read: GradRead, scores: _Scores) -> int:
    """The backward that filled this ``.grad``, or the last that could have: not ``autograd.grad``, which fills none.

    Of a gradient that is not there, the last backward whose score was computed with the tensor; else the last that
    could have reached it, -1 where there was none.
    """
    before = range(read.backwards - 1, -1, -1)
    filling = [
        n
        for n in before
        if observation.program.backwards[n].kind == "backward" and not observation.program.backwards[n].error
    ]
    if read.measured.arrived:
        return next(
            (n for n in filling if read.value in observation.program.backwards[n].arrived), (*filling, before[0])[0]
        )
    places: set[int] = set()
    for number in filling:
        backward = observation.program.backwards[number]
        if backward.roots and backward.site not in places:
            places.add(backward.site)
            if read.value in backward.arrived and scores.beginnings.required_grad(read, backward):
                return -1  # it came, and the program has emptied it since
            if scores.uses(backward.score, read.value):
                return -1 if scores.beginnings.was_released_since(read, backward) else number
    if len(places) < len(filling) and observation.recording.values.producer[read.value] >= 0:
        # what one turn of a loop computed no later turn uses: that of its own is found from the tensor
        for number in filling:
            if scores.is_made_of(observation.program.backwards[number].score, read.value):
                backward = observation.program.backwards[number]
                return -1 if scores.beginnings.was_released_since(read, backward) else number
    for number in (*filling, before[0]):
        backward = observation.program.backwards[number]
        if scores.beginnings.could_be_reached(read, backward):
            return -1 if scores.beginnings.is_read_too_early(read, backward) else number
    return -1
