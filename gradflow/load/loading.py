"""The first stage: from what a user names, or hands over, to a :class:`Workload`."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch

from gradflow.errors import LoadError, UsageError
from gradflow.load.inputs.input_guess import guess_inputs
from gradflow.load.inputs.input_reference import as_call
from gradflow.load.inputs.obtaining import describe_inputs, obtain_inputs
from gradflow.load.inputs.random_input import parse_dtype
from gradflow.load.model_source import obtain_model
from gradflow.load.modes import Mode
from gradflow.load.module_tree import parameters_in
from gradflow.load.names import did_you_mean
from gradflow.load.request import Request
from gradflow.load.scores.loss import with_loss
from gradflow.load.scores.objective import make_objective
from gradflow.load.seeding import Seeding
from gradflow.load.source import SourcedModel
from gradflow.load.trial.bounded import require_bounded
from gradflow.load.user_code import UserCode
from gradflow.load.workload import ForwardCount, Workload

__all__ = ["load_workload", "workload_from_objects"]


def load_workload(request: Request) -> Workload:
    """Build or load everything that ``request`` names.

    The user's own code runs here (import, factory, input factory), with random numbers seeded. What it changes in
    torch's global state - grad mode, default dtype - stays, because the model was meant so; the caller puts it and the
    random state back after the check.

    Raises
    ------
    GradflowError
        :class:`LoadError`, :class:`UntrustedFileError`, :class:`UsageError` or :class:`ScoreError`, with what to do
        about it; never another exception for bad input.
    """
    dtype = _floating_dtype(request.dtype)
    device = _device(request.device)
    seeding = Seeding(request.seed or 0)
    user_code = UserCode()
    source = _said_of_seed(request, seeding, obtain_model(request, user_code))
    source = _placed(_in_mode(source, request.mode), device, dtype)
    score = user_code.object_at(request.score, "score function") if request.score else None
    if score is not None and not callable(score):
        raise UsageError(f"`{request.score}` is a `{type(score).__name__}`, not a function")
    objective = make_objective(
        target=request.target, output=request.output, score=score, class_names=source.class_names
    )
    inputs = obtain_inputs(request, source, user_code, dtype=dtype)
    forwards = ForwardCount(inputs.run_count)
    if not source.is_vouched_for:
        forwards.total += require_bounded(source.model, inputs.arguments, inputs.keywords, source.name)
    workload = Workload(
        model=source.model,
        model_name=source.name,
        inputs=inputs.arguments,
        keyword_inputs=inputs.keywords,
        input_description=inputs.description,
        objective=objective,
        class_names=source.class_names,
        provenance=source.provenance,
        assumptions=(*source.assumptions, *inputs.assumptions),
        limits=source.limits,
        can_enter=source.can_enter,
        image=inputs.image,
        seed=request.seed or 0,
        forwards=forwards,
        mode=request.mode,
        is_typed=True,
    )
    if request.loss is None:
        return workload
    return with_loss(workload, user_code.object_at(request.loss, "loss function"), request.output)


def workload_from_objects(
    model: torch.nn.Module,
    inputs: Any = None,
    *,
    target: int | str | None = None,
    score: Callable[[Any], Any] | None = None,
    output: str | None = None,
    class_names: Sequence[str] = (),
    model_name: str | None = None,
    mode: Mode | None = None,
) -> Workload:
    """The workload of objects that exist already; nothing is moved, converted or switched to another mode.

    ``mode`` is what the caller puts the model into for the time of its runs.

    ``inputs`` is a tensor (or any one argument), a tuple for ``model(*inputs)``, or a mapping for
    ``model(**inputs)``; ``None`` infers random ones. ``target``, ``score`` and ``output`` are those of
    :func:`~gradflow.load.scores.objective.make_objective`.

    Raises
    ------
    UsageError, ScoreError
        When ``model`` is no module, no input can be inferred, or the score makes no sense.
    """
    if not isinstance(model, torch.nn.Module):
        raise UsageError(f"the model is a `{type(model).__name__}`, not a `torch.nn.Module`")
    if score is not None and not callable(score):
        raise UsageError(f"the score is a `{type(score).__name__}`, not a function")
    objective = make_objective(target=target, output=output, score=score, class_names=class_names)
    assumptions = []
    forwards = ForwardCount()
    if inputs is None:
        guess = guess_inputs(model, input_size=None, seed=0)
        arguments, keywords = guess.arguments, dict(guess.keywords)
        device = next((parameter.device for parameter in parameters_in(model)), torch.device("cpu"))
        arguments = tuple(value.to(device) if isinstance(value, torch.Tensor) else value for value in arguments)
        description = f"random {describe_inputs(arguments, keywords)}, seed 0"
        forwards.total += guess.run_count
        assumptions.append(f"input: {description}, {guess.reason}")
    else:
        arguments, keywords = as_call(inputs)
        description = describe_inputs(arguments, keywords)
    is_script = isinstance(model, torch.jit.ScriptModule)
    if is_script:
        from gradflow.load.files.torchscript import LIMITS
    return Workload(
        model=model,
        model_name=model_name or type(model).__name__,
        inputs=arguments,
        keyword_inputs=keywords,
        input_description=description,
        objective=objective,
        class_names=tuple(class_names),
        assumptions=tuple(assumptions),
        limits=LIMITS if is_script else (),
        can_enter=not is_script,
        forwards=forwards,
        mode=mode,
    )


def _said_of_seed(request: Request, seeding: Seeding, source: SourcedModel) -> SourcedModel:
    """Say which seed gave the model its weights, where nobody chose one and no trained weights came after."""
    is_trained = request.arch is not None or (request.weights or "none").casefold() != "none"
    if request.seed is not None or is_trained or not seeding.was_drawn_from():
        return source
    said = "random numbers: seeded with 0 before the model was built (`--seed` for another)"
    return dataclasses.replace(source, assumptions=(*source.assumptions, said))


def _in_mode(source: SourcedModel, mode: Mode | None) -> SourcedModel:
    """The mode that is asked for; eval for what was just built by name; else the mode the model is in."""
    if mode is not None and not source.has_modes:
        raise UsageError(
            f"`{source.name}` cannot be put into {mode} mode: an exported program stays in the mode it was exported in",
            hint=f"export it in {mode} mode, or check the Python model that it was made from",
        )
    if mode is not None:
        try:
            if mode == "train":
                source.model.train()
            else:
                source.model.eval()
        except Exception as error:
            raise LoadError(
                f"`{source.name}` cannot be put into {mode} mode", note=f"{type(error).__name__}: {error}"
            ) from error
        kept = tuple(text for text in source.assumptions if not text.startswith("mode:"))
        return dataclasses.replace(source, assumptions=kept)
    if source.is_built_by_us:
        source.model.eval()
        said = "mode: eval (`--train` for the other)"
        return dataclasses.replace(source, assumptions=(*source.assumptions, said))
    return source


def _placed(source: SourcedModel, device: torch.device | None, dtype: torch.dtype | None) -> SourcedModel:
    if device is None and dtype is None:
        return source
    try:
        moved = source.model.to(device=device, dtype=dtype)
    except Exception as error:
        wanted = " and ".join(str(kind).removeprefix("torch.") for kind in (device, dtype) if kind is not None)
        raise LoadError(
            f"`{source.name}` cannot be moved to {wanted}",
            note=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}",
        ) from error
    return dataclasses.replace(source, model=moved)


def _floating_dtype(text: str | None) -> torch.dtype | None:
    if text is None:
        return None
    dtype = parse_dtype(text)
    if not dtype.is_floating_point:
        raise UsageError(
            f"a model cannot be of dtype `{text}`: it would have no gradients",
            hint=did_you_mean(text, ("float32", "float64", "bfloat16", "float16")) or "for example `--dtype float64`",
        )
    return dtype


def _device(text: str | None) -> torch.device | None:
    if text is None:
        return None
    try:
        device = torch.device(text)
        if device.type != "meta":
            torch.empty(0, device=device)
    except Exception as error:
        available = ["cpu"]
        with contextlib.suppress(Exception):
            if torch.accelerator.is_available():
                available.append(str(torch.accelerator.current_accelerator()))
        raise UsageError(
            f"the device `{text}` cannot be used here",
            note=str(error).strip().partition("\n")[0][:200],
            hint=f"available: {', '.join(available)}",
        ) from error
    return device
