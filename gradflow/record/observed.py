"""What surrounds a run that is recorded, whatever the run is for."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch

from gradflow.load.lazy import is_uninitialised
from gradflow.load.module_tree import buffers_of, parameters_of
from gradflow.load.workload import Workload
from gradflow.program_warnings import warnings_as_without_gradflow
from gradflow.record.conduct.whose_error import our_error
from gradflow.record.failure import ForwardFailure
from gradflow.record.modules.following import ModuleFollower
from gradflow.record.patches import watched
from gradflow.record.program.special_calls.compiled_by_torch import compiled_by_torch
from gradflow.record.recorder import Recorder
from gradflow.record.seam.mode import shown_to
from gradflow.torch_facts.special_calls.compiling import is_compiler_loaded
from gradflow.values import tensors_in

__all__ = ["eager_compilation", "name_leaves", "observed", "raise_own_failure"]


@contextlib.contextmanager
def observed(
    recorder: Recorder,
    follower: ModuleFollower,
    modules: Iterable[torch.nn.Module],
    owners: Callable[[], Mapping[int, Sequence[str]]] = dict,
) -> Iterator[None]:
    """Record what runs in the block: the model that consists of these modules.

    ``owners`` gives the names of the modules that hold a parameter, by its ``id``.
    """
    with (
        eager_compilation(),
        warnings_as_without_gradflow(),
        watched(recorder, modules),
        compiled_by_torch(recorder, follower, owners),
        follower.watching(),
        recorder,
        shown_to(recorder.seam, recorder.tables, recorder.step_aside),
    ):
        yield


@contextlib.contextmanager
def eager_compilation() -> Iterator[None]:
    """Let ``torch.compile``d models run as the Python they were written in, so that every line is visible.

    The first use of ``set_stance`` imports dynamo, which takes a second: only done when it is there already.
    """
    if not is_compiler_loaded():
        yield
        return
    with torch.compiler.set_stance("force_eager"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*global hooks.*", category=UserWarning)
        yield


def name_leaves(recorder: Recorder, workload: Workload, modules: Iterable[tuple[str, torch.nn.Module]]) -> None:
    """Tell the recorder of the tensors that are there before the run; ``modules`` are the model's."""
    for name, parameter in parameters_of(modules):
        if not is_uninitialised(parameter):
            recorder.name_leaf(parameter, "parameter", name)
    for name, buffer in buffers_of(modules):
        if not is_uninitialised(buffer):
            recorder.name_leaf(buffer, "buffer", name)
    for position, value in enumerate((*workload.inputs, *workload.keyword_inputs.values())):
        for index, tensor in enumerate(tensors_in(value)):
            recorder.name_leaf(tensor, "input", str(position) if index == 0 else f"{position}.{index}")


def raise_own_failure(recorder: Recorder, failure: ForwardFailure | None) -> None:
    """Raise what failed in gradflow, unless the model itself had used up the stack or the memory by then.

    Raises
    ------
    InternalError
        When gradflow's own code failed while the model ran.
    """
    if recorder.failed is not None and not (failure is not None and _are_for_want_of_room(recorder.failed, failure)):
        raise our_error(recorder.failed)


def _are_for_want_of_room(ours: BaseException, failure: ForwardFailure) -> bool:
    return any(isinstance(ours, kind) and isinstance(failure.error, kind) for kind in (RecursionError, MemoryError))
