"""The scalar score that is differentiated: the largest entry, a class, or what the user's function returns."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from gradflow.errors import ScoreError, UsageError
from gradflow.load.names import did_you_mean
from gradflow.load.scores.choice import Choice
from gradflow.load.scores.output_tensor import choose_tensor
from gradflow.load.scores.score_function import call_score_function, span_of_score
from gradflow.load.selector import Selector, parse_selector
from gradflow.load.workload import Objective
from gradflow.spelled import Spelled
from gradflow.torch_facts.function_modes import unseen

__all__ = ["make_objective"]

Scored = tuple[torch.Tensor, str, int | None]
_TOP = re.compile(r"top-?(\d{1,18})", re.IGNORECASE)


def make_objective(
    *,
    target: int | str | None = None,
    output: str | None = None,
    score: Callable[[Any], Any] | None = None,
    class_names: Sequence[str] = (),
) -> Objective:
    """How the score is made from the model's output.

    Parameters
    ----------
    target
        ``None``: the largest entry of the first sample. A class index (or its digits): that class of the first sample;
        the mean over all positions where there is a map per class (``[N, C, H, W]``), the last position where there is
        a sequence (``[N, T, C]``). ``"top1"``, ``"top2"``, ...: the class with that rank. Else the name of a class.
    output
        A selector for one part of the output.
    score
        Called with the output instead; must return a tensor with one element.
    class_names
        Names of the classes, by index.

    Raises
    ------
    UsageError, ScoreError
        When the arguments contradict each other, or ``target`` is no known class.
    """
    selector = parse_selector(output) if output else None
    if score is not None:
        if target is not None:
            raise UsageError(
                "a target and a score function both say what is differentiated", hint="let the function pick the class"
            )
        return Objective(compute=_by_function(score, selector), span=span_of_score(score))
    names = tuple(class_names)
    if target is None:
        choice = Choice(prefers_loss=True)
        said = partial(_said_of_default, choice)
        return Objective(compute=_on_tensor(selector, _largest, choice), choice=choice, said=said)
    choice = Choice()
    if isinstance(target, str):
        top = _TOP.fullmatch(target.strip())
        if top:
            rank = int(top.group(1))
            if rank < 1:
                raise UsageError("the class with the highest score is `top1`")
            return _of_target(selector, choice, lambda tensor, where: _ranked(tensor, where, rank))
        target = _class_index(target, names)
    index = int(target)
    return _of_target(selector, choice, lambda tensor, where: _of_class(tensor, where, index))


def _of_target(selector: Selector | None, choice: Choice, pick: Callable[[torch.Tensor, str], Scored]) -> Objective:
    said = partial(choice.said_of_left_out, "score")
    return Objective(compute=_on_tensor(selector, pick, choice), choice=choice, said=said)


def _said_of_default(choice: Choice) -> tuple[str, ...]:
    where, dimensions = choice.taken
    what, advice = "the largest entry of the first sample", "`--target` for a class of your own"
    if dimensions == 0:
        what, advice = f"`{where}`, a single number", "`--select` or `--score` for another"
    elif dimensions == 1:
        what = f"the first entry of `{where}`"
    elif where not in ("", "output"):
        what += f" of `{where}`"
    said = Spelled(f"score: {what} ({advice})", in_python=f"score: {what}")
    return (said, *choice.said_of_left_out("score"))


def _class_index(target: str, names: Sequence[str]) -> int:
    text = target.strip()
    if re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    folded = [name.casefold() for name in names]
    if text.casefold() in folded:
        return folded.index(text.casefold())
    if not names:
        raise ScoreError(
            f"`{target}` is no class index, and the names of the model's classes are not known",
            hint=Spelled(
                "give the index of the class, or `top1`; torchvision's trained weights bring the names: "
                "`--weights DEFAULT`",
                in_python="give the index of the class, or `top1`",
            ),
        )
    raise ScoreError(f"there is no class `{target}`", hint=did_you_mean(target, names) or "give its index")


def _by_function(score: Callable[[Any], Any], selector: Selector | None) -> Callable[[Any], Scored]:
    def compute(output: Any) -> Scored:
        selected = selector.of(output)[0] if selector else output
        value, description = call_score_function(score, selected)
        return value, description, None

    return compute


def _on_tensor(
    selector: Selector | None, pick: Callable[[torch.Tensor, str], Scored], choice: Choice
) -> Callable[[Any], Scored]:
    def compute(output: Any) -> Scored:
        selected, path = selector.of(output) if selector else (output, "output")
        tensor, where = choose_tensor(selected, path, choice)
        choice.taken = where, tensor.ndim
        if tensor.is_complex():
            tensor, where = tensor.abs(), f"|{where}|"
        return pick(tensor, where)

    return compute


def _largest(tensor: torch.Tensor, where: str) -> Scored:
    if tensor.ndim == 0:
        return tensor, where, None
    first = tensor[0]
    if tensor.ndim == 1:
        return first, f"{where}[0]", None
    place = _place_of_largest(first)
    if place is None:
        return first.max(), f"largest entry of {where}[0]", None
    if tensor.ndim == 2:
        index = place[0]
        name = f"score[{index}]" if where == "output" else f"largest entry of {where}[0], index {index}"
        return first[index], name, index
    return first[place], f"largest entry of {where}[0], at {place}", None


def _ranked(tensor: torch.Tensor, where: str, rank: int) -> Scored:
    if tensor.ndim != 2:
        raise ScoreError(
            f"`top{rank}` needs one score per class, and `{where}` has shape {list(tensor.shape)}",
            hint="give a class index, or no target for the largest entry",
        )
    if rank > tensor.shape[1]:
        raise ScoreError(f"`top{rank}` does not exist: `{where}` has {tensor.shape[1]} classes")
    with unseen():
        order = torch.argsort(tensor[0].detach(), descending=True, stable=True)
        index = int(order[rank - 1])
    scored, name, _ = _of_class(tensor, where, index)
    return scored, name, index


def _of_class(tensor: torch.Tensor, where: str, index: int) -> Scored:
    if tensor.ndim == 0:
        raise ScoreError(f"`{where}` is a single number, so it has no class {index}", hint="give no target")
    dimension = {1: 0, 2: 1, 3: 2}.get(tensor.ndim, 1)
    count = tensor.shape[dimension]
    if not 0 <= index < count:
        raise ScoreError(
            f"there is no class {index}: `{where}` has shape {list(tensor.shape)}, so classes go from 0 to {count - 1}",
            hint="`top1` is the class with the highest score",
        )
    if tensor.ndim == 1:
        return tensor[index], f"{where}[{index}]", index
    if tensor.ndim == 2:
        return tensor[0, index], f"score[{index}]" if where == "output" else f"{where}[0, {index}]", index
    if tensor.ndim == 3:
        return tensor[0, -1, index], f"{where}[0, -1, {index}], the last position", index
    mean = tensor[0, index].mean()
    extent = " x ".join(str(length) for length in tensor.shape[2:])
    return mean, f"mean of {where}[0, {index}] over {extent} positions", index


def _place_of_largest(first: torch.Tensor) -> tuple[int, ...] | None:
    """Where the largest entry is, looked up unseen by tracers; ``None`` where the entries cannot be read.

    The score is then taken by indexing, so that of several equal entries one gets the gradient, as a class score does.
    """
    try:
        with unseen():
            flat = int(first.detach().argmax())
    except (RuntimeError, NotImplementedError):  # meta and fake tensors have no values
        return None
    place = []
    for length in reversed(first.shape):
        place.append(flat % length)
        flat //= length
    return tuple(reversed(place))
