"""What was seen of a program's gradients, in numbers: what a report without a finding rests on."""

from __future__ import annotations

from collections.abc import Iterator

from gradflow.graph.dependence import analyse
from gradflow.location import is_installed
from gradflow.recording.program.events import ZEROS_LOOKED_FOR, Backward, Optimizer
from gradflow.source_place import place
from gradflow.watch.facts.flags import scored
from gradflow.watch.facts.naming.names import name_of_value, parameter_names
from gradflow.watch.facts.questions import answers_in, tests_in_vain
from gradflow.watch.facts.unheld import moved_by_none
from gradflow.watch.facts.watched import counted, is_seen_to_the_end, may_be_elsewhere
from gradflow.watch.observation import Observation

__all__ = ["shows_gradients", "what_is_lacking", "what_was_seen"]

_OPTIMIZERS_TOLD = 3


def what_was_seen(observation: Observation) -> tuple[str, ...]:
    """Sentences that say no more than the record does; where no gradient was asked for, that."""
    if not observation.program.backwards:
        completeness = observation.recording.completeness
        # what a process cannot reach belongs to the program all the same
        is_beyond = any(gap.why in ("transform", "another process") for gap in completeness.gaps)
        is_whole = completeness.has_all("backward passes") and not is_beyond
        return ("no gradient was asked for" if is_whole else "no gradient was asked for in what was watched",)
    stepped = [optimizer for optimizer in observation.program.optimizers if optimizer.steps]
    said = [_of_optimizer(observation, optimizer) for optimizer in stepped[:_OPTIMIZERS_TOLD]]
    if len(stepped) > _OPTIMIZERS_TOLD:
        said.append(f"{counted(len(stepped) - _OPTIMIZERS_TOLD, 'more optimizer')} stepped")
    said += _of_the_rest(observation, stepped)
    said += _of_those_that_never_step(observation)
    said += _of_passes_cleared(observation, stepped)
    said += _of_answers(observation)
    return (*(said or _of_passes(observation)), *_of_tests_in_vain(observation), *_of_hooks(observation))


def what_is_lacking(observation: Observation) -> str:
    """The parameters that required grad and got none at any step of the optimizers that hold them; empty for none."""
    stepped = [optimizer for optimizer in observation.program.optimizers if optimizer.steps]
    trainable = {one for optimizer in stepped for one in optimizer.tensors(optimizer.trainable)}
    filled = {one for optimizer in stepped for one in optimizer.tensors(optimizer.filled)}
    lacking = len(trainable - filled)
    if not lacking:
        return ""
    had = (
        "had no gradient when it stepped" if any(_lost_some(observation, one) for one in stepped) else "got no gradient"
    )
    return f"{lacking:,} of {counted(len(trainable), 'parameter')} that an optimizer holds {had}"


def _lost_some(observation: Observation, optimizer: Optimizer) -> bool:
    """Whether a gradient came to what had none at any step of an optimizer: it was gone again by then."""
    lacking = set(optimizer.trainable) - set(optimizer.filled)
    return any(not lacking.isdisjoint(backward.arrived) for backward in observation.program.backwards)


def shows_gradients(observation: Observation) -> bool:
    """Whether what was seen is what a program without fault shows.

    Not so where no gradient was asked for, or none came, where none came of those that an optimizer, or the program
    itself, looked for, and where an exception ended it: then nothing is known of what it was to do.
    """
    if not any(map(_may_have_brought_some, observation.program.backwards)):
        return False
    if any(failure.is_last for failure in observation.program.failures):
        return False
    stepped = [optimizer for optimizer in observation.program.optimizers if optimizer.steps]
    answers = [question.measured.arrived for question in answers_in(observation) if not question.is_waiting]
    if not stepped and not answers and tests_in_vain(observation):
        return False
    if stepped and any(_of_those_that_never_step(observation)):
        return False
    return all(optimizer.filled or optimizer.takes_closure for optimizer in stepped) and (not answers or any(answers))


def _may_have_brought_some(backward: Backward) -> bool:
    return bool(backward.arrived or backward.unseen) or any(measured.arrived for measured in backward.results)


def _of_optimizer(observation: Observation, optimizer: Optimizer) -> str:
    name, steps = f"`{optimizer.type_name}`", optimizer.step_count
    # a tensor that is written to has several values
    trainable = optimizer.tensors(optimizer.trainable)
    count, filled = len(trainable), len(trainable & optimizer.tensors(optimizer.filled))
    if not count and optimizer.takes_closure:
        return f"{name} began {counted(steps, 'step')}"
    if not count:
        return f"{name} stepped, and none of its parameters requires grad"
    # those that are frozen are not counted, so that is said
    is_all = len(optimizer.tensors(optimizer.parameters)) == count
    which = name if is_all else f"{name} that require{'s' * (count == 1)} grad"
    if filled < count and _lost_some(observation, optimizer):
        return f"{filled:,} of {counted(count, 'parameter')} in {which} had a gradient at its {counted(steps, 'step')}"
    if filled < count:
        return f"{filled:,} of {counted(count, 'parameter')} in {which} got a gradient in {counted(steps, 'step')}"
    if optimizer.empty_steps:
        return f"all gradients in {name} were zero in {_looked_into(optimizer)}"
    times = f"{optimizer.complete_steps:,} of {counted(steps, 'step')}"
    if optimizer.complete_steps < steps:
        return f"{_all(count, 'parameter')} in {which} got a gradient, together in {times}"
    return f"{_all(count, 'parameter')} in {which} got a gradient in {times}"


def _of_the_rest(observation: Observation, stepped: list[Optimizer]) -> Iterator[str]:
    """Where gradients come that no step follows: a part that is not to learn and is not frozen, or was forgotten."""
    since = min((optimizer.since for optimizer in stepped), default=-1)
    others = moved_by_none(observation, since, len(observation.recording)) if stepped else ()
    if others:
        yield f"gradients also came to {parameter_names(observation, others)}, which no optimizer that was seen holds"


def _of_those_that_never_step(observation: Observation) -> Iterator[str]:
    """Optimizers that hold what gets gradients, where neither they nor others, nor the program itself, move it."""
    idle = [one for one in observation.program.optimizers if not one.steps and not one.skipped]
    never = "never stepped" if is_seen_to_the_end(observation) else "has not stepped so far"
    for optimizer in idle:
        if may_be_elsewhere(observation, "steps", "backward passes", of=optimizer.parameters):
            continue
        values = moved_by_none(observation, optimizer.since - 1, len(observation.recording), idle=True)
        own = [value for value in values if value in optimizer.parameters]
        if own:
            names = parameter_names(observation, own)
            yield f"`{optimizer.type_name}` {never}, and gradients came to {names}, which it holds"


def _of_passes_cleared(observation: Observation, stepped: list[Optimizer]) -> Iterator[str]:
    """Passes of which no optimizer used anything, and whose gradients the program itself did not read either."""
    held = {value for optimizer in stepped for value in optimizer.parameters}
    if may_be_elsewhere(observation, "steps", "reads of .grad", of=held):
        return
    cleared = [
        number
        for number, values in observation.program.passes_cleared.items()
        if observation.program.backwards[number].kind == "backward"
        and number not in observation.program.passes_read
        and values
        and held & set(observation.program.backwards[number].arrived) == values & held != set()
    ]
    if cleared:
        done = sum(one.kind == "backward" and not one.error for one in observation.program.backwards)
        passes = f"{len(cleared):,} of {counted(done, 'backward pass')}"
        yield f"what {passes} brought was cleared before an optimizer stepped"


def _looked_into(optimizer: Optimizer) -> str:
    """At the first few steps alone it is looked whether gradients are zero."""
    steps, empty = optimizer.step_count, len(optimizer.empty_steps)
    looked = min(steps, ZEROS_LOOKED_FOR)
    return f"{empty:,} of {counted(steps, 'step')}" if looked == steps else f"{empty:,} of the first {looked:,} steps"


def _of_answers(observation: Observation) -> Iterator[str]:
    """What the program itself asked for: what it read of ``.grad``, what ``autograd.grad`` gave.

    A hook that waits looks at nothing until it runs.
    """
    questions = [question for question in answers_in(observation) if not question.is_waiting]
    # of a loop each turn is a look of its own, also where it looks at the same gradient again
    there = sum(question.times for question in questions if question.measured.arrived)
    count = sum(question.times for question in questions)
    # a mere test for `None` is no look
    besides = "besides tests for `None`, " if any(read.is_guard for read in observation.program.reads) else ""
    if count == 1:
        yield f"{besides}the program looked at one gradient, and it was {'there' if there else 'not there'}"
    elif count:
        found = f"{'each time' if there == count else _times(there)} there was one" if there else "there was none"
        yield f"{besides}the program looked {count:,} times at a gradient, and {found}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _of_tests_in_vain(observation: Observation) -> Iterator[str]:
    """What the program would do with a gradient never ran, and nothing was raised."""
    tests = tests_in_vain(observation)
    spans = [observation.recording.site_span(question.site) for question in tests]
    places = list(dict.fromkeys(place(span) for span in spans if span is not None))
    if places:
        more = f" and {counted(len(places) - 1, 'other place')}" if len(places) > 1 else ""
        times = sum(question.times for question in tests)
        name, _ = name_of_value(observation, tests[0].target)
        of = f" of `{name}`" if len(tests) == 1 and " " not in name else ""
        asked = f"at {places[0]}{more} the program asked {_times(times)}"
        yield f"{asked} whether a gradient{of} is there, and there was none"


def _of_hooks(observation: Observation) -> Iterator[str]:
    """Those on modules of which none that was registered at the same place ran: they may have come too late."""
    if not observation.recording.completeness.has_all("backward passes"):
        return
    yield from _of_hooks_taken_off(observation)
    have_run = {hook.site for hook in observation.program.hooks if hook.runs or hook.ran_unseen}
    spans = (
        observation.recording.site_span(hook.site) for hook in observation.program.hooks if hook.site not in have_run
    )
    idle = list(dict.fromkeys(place(span) for span in spans if span is not None and not is_installed(span.path)))
    if idle:
        more = f" and at {counted(len(idle) - 1, 'other place')}" if len(idle) > 1 else ""
        yield f"what was registered as a hook at {idle[0]}{more} never ran"


def _of_hooks_taken_off(observation: Observation) -> Iterator[str]:
    """Those on tensors that were gone again when the backward began that would have called them."""
    recording = observation.recording
    have_run = {hook.site for hook in observation.program.tensor_hooks if hook.runs}
    for hook in observation.program.tensor_hooks:
        later = observation.program.backwards[hook.removed_backwards :] if hook.removed_backwards >= 0 else ()
        if hook.site in have_run or hook.backwards != hook.removed_backwards:
            continue
        if any(_is_behind(observation, hook.value, one) for one in later if not one.error):
            at, gone = recording.site_span(hook.site), recording.site_span(hook.removed_site)
            if at is not None and gone is not None:
                yield f"what was registered as a hook at {place(at)} was removed at {place(gone)}, before the backward"
            return


def _is_behind(observation: Observation, value: int, backward: Backward) -> bool:
    """Whether the score of a pass was computed from a value, and its gradient gets there."""
    if backward.score < 0:
        return False
    return analyse(scored(observation, backward.score, (value,)), (value,)).score_carries


def _of_passes(observation: Observation) -> Iterator[str]:
    """Nobody looked at what came: to how many leaves it did."""
    passes = [one for one in observation.program.backwards if not one.error and one.kind == "backward"]
    asked = sum(one.kind == "grad" for one in observation.program.backwards)
    if asked:
        yield f"{counted(asked, 'call')} of `torch.autograd.grad`"
    leaves = {value for one in passes for value in one.arrived}
    done = counted(len(passes), "backward pass")
    unseen = sum(bool(one.unseen) for one in passes)
    if unseen < len(passes) and passes:
        yield f"{done} brought gradients to {counted(len(leaves), 'leaf')}"
    elif passes:
        yield f"{done} ended"
    raised = sum(bool(one.error) for one in observation.program.backwards if one.kind == "backward")
    if raised:
        yield f"{counted(raised, 'backward pass')} raised"


def _all(count: int, noun: str) -> str:
    return f"the {noun}" if count == 1 else f"{'both' if count == 2 else f'all {count:,}'} {noun}s"
