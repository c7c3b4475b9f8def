"""The values that a program did not compute from other tensors: parameters, inputs, what ``torch.randn`` made."""

from __future__ import annotations

import functools
from dataclasses import replace

from gradflow.graph.dependence import analyse, is_differentiable
from gradflow.recording import Recording
from gradflow.watch.facts.questions import Question
from gradflow.watch.facts.writes import writes_in_place
from gradflow.watch.observation import Observation

__all__ = ["is_leaf_tensor", "is_leaf_value", "leaves_behind"]


def leaves_behind(
    observation: Observation, question: Question, *, trainable: bool, at: int | None = None
) -> tuple[int, ...]:
    """The leaves that the score was computed from, by whatever way, cuts included.

    ``at`` is the operation at whose time they are to be trainable or not: by default as the backward pass began.
    """
    recording = observation.recording
    required = (
        functools.partial(observation.program.required_grad, before=question.backward_number)
        if at is None
        else functools.partial(recording.requires_grad_of, at=at)
    )
    reaches = analyse(replace(recording, score=question.score), ()).reaches
    return tuple(
        value
        for value in range(len(recording.values.producer))
        if reaches[value]
        and is_differentiable(recording.dtype_of(value))
        and is_leaf_value(recording, value)
        and required(value) == trainable
    )


def is_leaf_value(recording: Recording, value: int) -> bool:
    """Whether a value was not computed from other tensors: a parameter, an input, what ``torch.randn`` made."""
    producer = recording.values.producer[value]
    return producer < 0 or value in recording.leaf_names or not recording.inputs_of(producer)


def is_leaf_tensor(observation: Observation, value: int) -> bool:
    """Whether the tensor of a value is a leaf for autograd, whatever numbers it was given.

    A leaf that requires grad stays one when it is written to: with recording on autograd refuses that, and without it
    or through ``.data`` what is written brings no history. What was told to require grad began as a leaf then.
    """
    recording = observation.recording
    while not is_leaf_value(recording, value):
        if any(
            flag.value == value and flag.on and flag.is_leaf and not flag.error for flag in observation.program.flags
        ):
            return True
        producer = recording.values.producer[value]
        if not writes_in_place(recording, producer):
            return False
        value = recording.inputs_of(producer)[0]
        if not recording.requires_grad_of(value, at=producer):
            return False
    return True
