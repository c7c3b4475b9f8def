"""The layer for ``--layer auto``: the most abstract feature map that still has places.

Decided from what one forward pass shows (shapes, and the order in which modules ran) and, where a recorded run has
shown it, from what the score has of the layers. What is an attention or only passes on is told by the class of a module
and by what the model calls it, never by the name of an architecture: a choice by names may be a default, and no more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from gradflow.errors import NoSpatialAxesError
from gradflow.layers.feature_layout import FeatureLayout, batch_size, feature_layout, input_size
from gradflow.layers.roles import class_role, is_attention, is_convolution, is_passive
from gradflow.load.module_tree import parameters_in
from gradflow.load.workload import Workload
from gradflow.record.modules.module_pass import LayerCall, ModulePass

__all__ = ["Candidates", "candidates_of", "choose_layer"]

_ATTENTION_NAMES = (".attn", ".attention", ".self_attn", ".self_attention")
"""What people call an attention whose class is called otherwise (MHSA, for example)."""


def choose_layer(workload: Workload, seen: ModulePass) -> tuple[str, str]:
    """The layer that a Grad-CAM of this model is best made of, and why, in words.

    Parameters
    ----------
    workload
        What ran.
    seen
        What one forward pass of it has shown.

    Returns
    -------
    tuple[str, str]
        The qualified name and the reason. The name is empty where the model has no layer but itself.
    """
    return candidates_of(workload, seen).choose()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The layers that ran in one pass; ``size`` is the input picture's, ``batch`` the number of samples."""

    seen: ModulePass
    size: tuple[int, int] | None
    batch: int | None

    def choose(
        self, *, passed_over: Collection[tuple[str, int]] = (), may_read: Callable[[str, str], bool] | None = None
    ) -> tuple[str, str]:
        """The choice, and why, in words; see :func:`choose_layer`.

        Parameters
        ----------
        passed_over
            Calls that the score has nothing to do with: the layer's qualified name, and which of its calls.
        may_read
            ``may_read(later, earlier)``: whether what one layer gave may have gone into what another one gave. Without
            it, all that is known is which of them ran first.
        """
        counts: Counter[str] = Counter()
        others = set()
        for call in sorted(self.seen.calls, key=lambda call: call.begun):
            if (call.name, counts[call.name]) in passed_over:
                others.add(call.begun)
            counts[call.name] += 1
        calls = [call for call in self.seen.calls if call.begun not in others and not call.has_raised]
        return _layer_of(replace(self.seen, calls=calls), self.size, self.batch, may_read)


def candidates_of(workload: Workload, seen: ModulePass) -> Candidates:
    """The layers among which :func:`choose_layer` chooses."""
    size = input_size(workload.inputs, workload.keyword_inputs)
    batch = batch_size(workload.inputs, workload.keyword_inputs)
    return Candidates(seen=seen, size=size, batch=batch)


def _layer_of(
    seen: ModulePass,
    size: tuple[int, int] | None,
    batch: int | None,
    may_read: Callable[[str, str], bool] | None,
) -> tuple[str, str]:
    calls = [call for call in seen.calls if call.name]
    maps = [call for call in calls if _is_feature_map(call, size, batch)]
    if size is None:
        # without a picture, four axes may as well be the heads of an attention; only convolutions make places
        maps = [call for call in maps if _has_convolved(call, calls)]
    maps = [call for call in maps if not _tells_positions(call)]
    maps = _trainable(maps, calls) or maps
    maps = [call for call in maps if _fits_input(call, size)] or maps
    attentions = [call for call in calls if is_attention(call.module) or call.name.endswith(_ATTENTION_NAMES)]
    maps = [call for call in maps if not _is_inside(call, attentions)] or maps
    before_head = [call for call in maps if _is_read_by_a_layer(call, calls)]
    useful = [call for call in before_head or maps if not _hands_on(call)]
    if not useful:
        return _last_hidden(calls, may_read)
    once = _called_once(useful, calls)
    pyramid = None if seen.has_plain_output else _pyramid(calls, batch)
    inside = [call for call in once if pyramid is not None and _is_inside(call, [pyramid])]
    if any(_is_map(shape, batch) for shape in seen.output_shapes):
        return _for_dense_output(once, seen, size)
    if pyramid is not None and inside:
        return _for_pyramid(inside, pyramid, calls, size, batch)
    last = once[-1]
    if (layout := _layout(last, size)) is not None and layout.extra_tokens:
        return _before_last_attention(last, once, attentions)
    return last.name, (
        f"the last layer whose output still has height and width ({_shape(last)}): a Grad-CAM needs them to lie on"
    )


def _shape(call: LayerCall) -> str:
    return str(list(call.shape or ()))


def _layout(call: LayerCall, size: tuple[int, int] | None) -> FeatureLayout | None:
    try:
        return feature_layout(call.shape or (), size)
    except NoSpatialAxesError:
        return None


def _is_feature_map(call: LayerCall, size: tuple[int, int] | None, batch: int | None) -> bool:
    """Whether the call returned one feature map, of the same samples as the input, with at least two places."""
    if not call.is_single or not call.is_floating or not call.shape or (batch is not None and call.shape[0] != batch):
        return False
    layout = _layout(call, size)
    return layout is not None and layout.is_spatial


def _has_convolved(call: LayerCall, calls: list[LayerCall]) -> bool:
    return any(is_convolution(other.module) and other.ended <= call.ended for other in calls)


def _tells_positions(call: LayerCall) -> bool:
    """Whether the map comes from an embedding that learns nothing: it tells where a place is, not what is there."""
    return class_role(call.module) == "embedding" and next(parameters_in(call.module), None) is None


def _trainable(maps: list[LayerCall], calls: list[LayerCall]) -> list[LayerCall]:
    """Those with a parameter to train at or before them: what stands before the first is recorded by nobody."""
    ends = [call.ended for call in calls if any(p.requires_grad for p in call.module.parameters(recurse=False))]
    return [call for call in maps if ends and call.ended >= min(ends)]


def _fits_input(call: LayerCall, size: tuple[int, int] | None) -> bool:
    layout = _layout(call, size)
    return layout is not None and layout.fits_input


def _hands_on(call: LayerCall) -> bool:
    """Whether the output was made by something that only reshapes, pools or drops."""
    return is_passive((call.maker or call).module)


def _is_read_by_a_layer(call: LayerCall, calls: list[LayerCall]) -> bool:
    """Whether a layer with weights runs afterwards; otherwise the map already is the score, class by class."""
    return any(
        later.begun > call.ended and next(later.module.parameters(recurse=False), None) is not None for later in calls
    )


def _called_once(useful: list[LayerCall], calls: list[LayerCall]) -> list[LayerCall]:
    """Only modules that ran once: of a shared one it would be open which call is meant."""
    counts: dict[str, int] = {}
    for call in calls:
        counts[call.name] = counts.get(call.name, 0) + 1
    return [call for call in useful if counts[call.name] == 1] or useful


def _is_map(shape: tuple[int, ...], batch: int | None) -> bool:
    return len(shape) == 4 and shape[2] * shape[3] > 1 and (batch is None or shape[0] == batch)


def _coarsest(candidates: list[LayerCall], size: tuple[int, int] | None) -> LayerCall:
    """The last of those with the fewest places."""

    def place_count(call: LayerCall) -> int:
        layout = _layout(call, size)
        return layout.grid[0] * layout.grid[1] if layout is not None else 0

    fewest = min(map(place_count, candidates))
    return [call for call in candidates if place_count(call) == fewest][-1]


def _for_dense_output(useful: list[LayerCall], seen: ModulePass, size: tuple[int, int] | None) -> tuple[str, str]:
    """Segmentation and the like: the bottleneck, as Seg-Grad-CAM takes it (Vinogradova et al. 2020)."""
    depths = {shape[1] for shape in seen.output_shapes if len(shape) == 4}
    level = _first_branching_level([call.name for call in seen.calls if call.name])
    last_shapes = {_part(call.name, level): call.shape for call in seen.calls if call.name}
    heads: set[str] = set()
    for part, shape in reversed(last_shapes.items()):
        if shape is None or len(shape) != 4 or shape[1] not in depths:
            break
        heads.add(part)
    chosen = _coarsest([call for call in useful if _part(call.name, level) not in heads] or useful, size)
    return chosen.name, (
        f"the last feature map at the coarsest resolution before the head ({_shape(chosen)}): "
        "the output itself is a map, and what its classes rest on comes together there"
    )


def _part(name: str, level: int) -> str:
    return ".".join(name.split(".")[:level])


def _first_branching_level(names: list[str]) -> int:
    """How many parts of the names it takes to tell the parts of the model apart; more than one inside wrappers."""
    level = 1
    while len({_part(name, level) for name in names}) == 1 and any(name.count(".") >= level for name in names):
        level += 1
    return level


def _pyramid(calls: list[LayerCall], batch: int | None) -> LayerCall | None:
    """The first module that hands on several feature maps, as backbones of detectors do."""
    return next((call for call in calls if sum(_is_map(shape, batch) for shape in call.shapes) > 1), None)


def _for_pyramid(
    inside: list[LayerCall],
    pyramid: LayerCall,
    calls: list[LayerCall],
    size: tuple[int, int] | None,
    batch: int | None,
) -> tuple[str, str]:
    """Detection: the map that all levels of the pyramid rest on, whichever level the best box comes from."""
    is_mixed_again = any(
        call.begun > pyramid.ended and sum(_is_map(shape, batch) for shape in call.shapes) > 1 for call in calls
    )
    if is_mixed_again:
        chosen = _coarsest(inside, size)
        return chosen.name, (
            f"the coarsest map of the backbone ({_shape(chosen)}): the levels of the pyramid above it all read it, "
            "whichever of them the detection comes from"
        )
    handed_on = {shape[2:] for shape in pyramid.shapes if len(shape) == 4}
    grids = {(call.shape or ())[2:] for call in inside} & handed_on or handed_on
    finest = max(grids, key=lambda grid: grid[0] * grid[1])
    chosen = ([call for call in inside if (call.shape or ())[2:] == finest] or inside)[-1]
    return chosen.name, (
        f"the finest map that the backbone hands on ({_shape(chosen)}): every coarser level is computed from it, "
        "whichever of them the detection comes from"
    )


def _is_inside(call: LayerCall, others: list[LayerCall]) -> bool:
    return any(other.begun < call.begun and call.ended < other.ended for other in others)


def _before_last_attention(last: LayerCall, useful: list[LayerCall], attentions: list[LayerCall]) -> tuple[str, str]:
    """Of a transformer with a class token: what the last attention reads, for after it nothing reads the patches."""
    beginnings = [call.begun for call in attentions if not _is_inside(call, attentions) and call.begun < last.ended]
    before = [call for call in useful if beginnings and call.ended < beginnings[-1]]
    if not before:
        return last.name, f"the last layer whose output still has one token per patch ({_shape(last)})"
    chosen = before[-1]
    return chosen.name, (
        f"the last layer whose patches ({_shape(chosen)}) an attention still reads: "
        "after that one the score reads only the class token, and the patches get no gradient"
    )


def _last_hidden(calls: list[LayerCall], may_read: Callable[[str, str], bool] | None) -> tuple[str, str]:
    """Without a feature map: what the last layer with weights reads."""
    weighted = [call for call in calls if next(call.module.parameters(recurse=False), None) is not None]
    if not calls or not weighted:
        return "", "the model has no layers of its own to choose from, so it is taken whole"
    last = weighted[-1]
    hidden = [
        call for call in calls if call.ended < last.begun and call.shape and call.is_floating and not _hands_on(call)
    ]
    read = [call for call in hidden if may_read is None or may_read(last.name, call.name)]
    is_alone, hidden = bool(hidden) and not read, read
    # where a module of modules returns several tensors, nobody may read the first
    hidden = [call for call in hidden if call.is_single or next(call.module.children(), None) is None] or hidden
    if not hidden:
        return last.name, f"{_why_last(weighted, is_alone=is_alone)} ({_shape(last)})"
    chosen = hidden[-1]
    what = "the last layer that runs before" if may_read is None else "the last layer before"
    return chosen.name, (
        f"{what} the output layer `{last.name}` ({_shape(chosen)}): "
        "no layer's output has height and width, so there is no feature map to choose"
    )


def _why_last(weighted: list[LayerCall], *, is_alone: bool) -> str:
    """Why the last layer with weights is taken itself; ``is_alone`` where none that ran before goes into it."""
    if len({call.name for call in weighted}) == 1:
        return "the only layer with weights that ran"
    return "the last layer with weights" + (": what other layers gave does not go into it" if is_alone else " that ran")
