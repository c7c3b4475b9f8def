"""Why a gradient ends at an operation although autograd follows it: the cause, told from what was measured there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gradflow.diagnose.cause_texts import text_for
from gradflow.diagnose.random_zero import DRAWN_ZERO, is_drawn_zero
from gradflow.diagnose.values.replaced import words_of_replacing
from gradflow.diagnose.values.too_small import SMALLEST, coarser_dtype, is_too_small
from gradflow.diagnose.values.unread import note_of_unread
from gradflow.diagnose.values.zero_start import label_of, way_out
from gradflow.probe.evidence import Evidence
from gradflow.recording.gradients import NodeFlow
from gradflow.torch_facts.operations.families import is_attention
from gradflow.torch_facts.operations.queries import has, reads_part
from gradflow.torch_facts.operations.writing import written

__all__ = ["CANCELLED", "NOTHING_GOES_ON", "WAYS_CANCEL", "ZeroCause", "clamped_to_zero", "explain_end"]

CANCELLED = "parts of the gradient cancel each other here"
NOTHING_GOES_ON = "a gradient comes in, zero goes on"
WAYS_CANCEL = "the ways by which the gradient goes on cancel each other"


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroCause:
    """The name of the rule, and its words; ``instead`` of saying that the gradient dies at the operation.

    ``is_shown``: an experiment shows what the note says.
    """

    name: str
    label: str
    note: str
    helps: tuple[str, ...]
    instead: str = ""
    is_shown: bool = False


def explain_end(evidence: Evidence, flow: NodeFlow) -> ZeroCause:
    """The cause of a zero gradient at the node at which it ended."""
    name = evidence.recording.name_of(flow.operation) if flow.operation >= 0 else flow.name
    if flow.runs_hooks:
        return _hooked()
    return _told_by_the_node(evidence, flow, name) or _told_by_the_name(evidence, flow, name)


def _told_by_the_node(evidence: Evidence, flow: NodeFlow, name: str) -> ZeroCause | None:
    """From what was read in the autograd node, or measured there."""
    dtype, shown = coarser_dtype(evidence, flow.operation), written(name)
    if has(name, "draws"):
        return _drawn(name, shown)
    read_there = (
        (flow.facts.is_staircase, _staircase),
        (flow.facts.ignores_all, _ignored),
        (flow.facts.is_of_one_entry, _single),
        (flow.facts.is_padding, _withheld),
        (flow.facts.is_of_equals, _spread_of_equals),
    )
    for holds, cause in read_there:
        if holds:
            return cause(shown)
    if is_drawn_zero(flow):
        return _drawn_zero(shown)
    if is_too_small(flow, dtype):
        return _underflow(dtype)
    if flow.is_sum and not has(name, "normalises"):
        is_one_twice = flow.is_of_one and _reads_one_twice(evidence, flow.operation)
        return _same_twice(shown, cancels=True) if is_one_twice else _ways_cancel(shown)
    if flow.is_sum or (flow.cancels and has(name, "normalises") and flow.facts.factor != 0.0):
        return _constant(shown)
    return None


def _hooked() -> ZeroCause:
    return ZeroCause(
        name="masked-gradient",
        label="backward hooks of a module run here, and what they return is zero",
        note="what a full backward hook returns takes the place of the gradient",
        helps=("remove the hook, or let it return a gradient that is not zero where you need one",),
    )


def _told_by_the_name(evidence: Evidence, flow: NodeFlow, name: str) -> ZeroCause:
    """From what operations of this name do."""
    shown = written(name)
    if has(name, "replaces"):
        return _replaced(evidence, flow, shown)
    if reads_part(name):
        return _not_read(evidence, shown)
    if has(name, "places", "moves"):
        return _put_beside(evidence, shown)
    if flow.facts.least_factor and not has(name, "normalises"):
        return _cancelled(shown)
    if is_attention(name) and flow.facts.factor != 0.0 and _reads_one_key(evidence, flow.operation):
        return _one_key(shown)
    if flow.facts.factor == 0.0 or has(name, "multiplies"):
        return _multiplied(name, shown, flow)
    if name.endswith(".apply"):
        text = text_for("custom-function", name)
        return ZeroCause(name="custom-function", label="its backward returns zeros", note=text.note, helps=text.helps)
    if has(name, "normalises") and not has(name, "saturates"):
        return _constant(shown)
    if has(name, "saturates"):
        return _cut_off(shown) if _is_in_score(evidence, flow.operation) else _saturated(shown)
    return _flat(evidence, flow, shown)


def _flat(evidence: Evidence, flow: NodeFlow, shown: str) -> ZeroCause:
    """Of no operation that is known to have a reason of its own."""
    if _reads_one_twice(evidence, flow.operation):
        return _same_twice(shown, cancels=False)
    if flow.unread is not None:
        note = note_of_unread(shown, evidence.target, flow.unread)
        return replace(_not_read(evidence, shown), note=note, is_shown=True)
    if not flow.facts.is_pointwise:
        return ZeroCause(
            name="constant-score",
            label=NOTHING_GOES_ON,
            note=f"why `{shown}` hands on nothing is not determined",
            helps=("look at which parts of the result are read, and at the values that go in here",),
        )
    return ZeroCause(
        name="saturation",
        label=NOTHING_GOES_ON,
        note=f"the slope of `{shown}` is zero at this input",
        helps=("look at the values that go in here, and try another input: the slope may be zero at this one only",),
    )


def _is_in_score(evidence: Evidence, operation: int) -> bool:
    """Whether an operation belongs to the score function: outside of all modules, and no module reads its result."""
    recording, reaches = evidence.recording, evidence.dependence.reaches
    inside = recording.operations.call
    if operation < 0 or inside[operation] >= 0 or not any(one.end_operation <= operation for one in recording.calls):
        return False
    made = set(recording.outputs_of(operation))
    for later in range(operation + 1, len(recording)):
        if not made.isdisjoint(recording.inputs_of(later)):
            outputs = recording.outputs_of(later)
            if inside[later] >= 0 and any(reaches[value] for value in outputs):
                return False
            made.update(outputs)
    return True


def _staircase(shown: str) -> ZeroCause:
    return ZeroCause(
        name="zero-derivative-op",
        label="flat everywhere: its derivative is zero",
        note=f"`{shown}` gives a staircase; between the steps it does not change, so its derivative is zero",
        helps=(
            "use a straight-through estimator: `x + (x.round() - x).detach()`",
            "or a smooth stand-in, such as bilinear instead of nearest sampling",
        ),
    )


def _drawn(name: str, shown: str) -> ZeroCause:
    normal = name.startswith("normal")
    return ZeroCause(
        name="zero-derivative-op",
        label="draws at random: torch takes the derivative for zero",
        note=f"`{shown}` draws numbers; autograd does not ask how the draw would change with its parameters",
        helps=(
            "draw what has no parameters, and compute the rest: `mean + std * torch.randn_like(mean)` "
            "(`.rsample()` of a distribution does it)"
            if normal
            else "use a soft draw (`torch.nn.functional.gumbel_softmax`, `RelaxedBernoulli(...).rsample()`), "
            "or weigh the loss with `log_prob` of what was drawn",
        ),
    )


def _spread_of_equals(shown: str) -> ZeroCause:
    return ZeroCause(
        name="saturation",
        label="all values that it compares are equal here",
        note=f"`{shown}` of equal values is zero, the least that it can be, and torch takes its slope there for zero",
        helps=("give it values that differ: other weights, another input, more samples",),
    )


def _drawn_zero(shown: str) -> ZeroCause:
    return ZeroCause(
        name="zero-multiplier",
        label=DRAWN_ZERO,
        note=f"what `{shown}` multiplies with depends on random numbers, as stochastic depth and dropout do",
        helps=("run it with more samples or another seed, or in eval mode where the draw belongs to training",),
    )


def _ignored(shown: str) -> ZeroCause:
    return ZeroCause(
        name="zero-multiplier",
        label="every label is the one that it ignores",
        note=f"`{shown}` leaves out what is labelled `ignore_index` (-100 by default), and here that is everything",
        helps=("give it at least one label that counts, and skip batches that have none",),
    )


def _single(shown: str) -> ZeroCause:
    return ZeroCause(
        name="constant-score",
        label="normalises a single entry: its share is 1, whatever comes in",
        note=f"`{shown}` compares the entries along one dimension, and here there is only one entry along it",
        helps=("give it something to compare with (more classes, more samples in the batch), or use a sigmoid",),
    )


def clamped_to_zero(origin: str, end: str) -> ZeroCause:
    """The words for zeros that one operation makes and another multiplies the gradient with."""
    return ZeroCause(
        name="saturation",
        label=f"`{written(origin)}` gives nothing but zeros here, and is flat there",
        note=f"`{written(origin)}` cuts every value off at zero; `{written(end)}` then multiplies the gradient by it",
        helps=(
            "move the values that go in here above zero, or use an operation that has a slope there too",
            *(("for boxes that do not overlap, a generalised IoU has a gradient",) if has(origin, "clips") else ()),
        ),
    )


def _underflow(dtype: str) -> ZeroCause:
    smallest = f" ({SMALLEST[dtype]:.0e})" if dtype in SMALLEST else ""
    return ZeroCause(
        name="precision-underflow",
        label=f"too small for {dtype} from here on",
        note=f"gradients smaller than {dtype} can hold{smallest} become zero",
        helps=("scale the loss (`torch.amp.GradScaler`), or compute this part in float32",),
    )


def _constant(shown: str) -> ZeroCause:
    return ZeroCause(
        name="constant-score",
        label="what is read from here is the same, whatever comes in",
        note=f"`{shown}` normalises: the sum of a softmax is always 1, and a value normalised by itself is always the "
        "same. So is what the score reads here: moving the input changes nothing",
        helps=(
            "make the score from values before this normalisation, such as the logits",
            "or normalise over more values: a larger batch, more features, more classes",
        ),
    )


def _cancelled(shown: str) -> ZeroCause:
    return ZeroCause(
        name="constant-score",
        label=CANCELLED,
        note=f"what comes in is not zero, nor is anything that `{shown}` multiplies it with: the parts add up to zero, "
        "so at this input the score does not change with it",
        helps=("make the score from values that do not cancel, or try another input: it may cancel at this one only",),
    )


def _ways_cancel(shown: str) -> ZeroCause:
    return ZeroCause(
        name="constant-score",
        label=WAYS_CANCEL,
        note=f"what `{shown}` hands on and what comes by the other ways adds up to zero: the score stays the same when "
        "this value moves",
        helps=("make the score from values before they cancel, or from one of the ways alone",),
    )


def _reads_one_twice(evidence: Evidence, operation: int) -> bool:
    """Whether an operation compares a tensor with itself: it is given two, and they are one."""
    inputs = tuple(evidence.recording.inputs_of(operation)) if operation >= 0 else ()
    return len(inputs) == 2 and inputs[0] == inputs[1]


def _same_twice(shown: str, *, cancels: bool) -> ZeroCause:
    passed = "what comes back by the two ways adds up to zero" if cancels else "it hands on zero"
    return ZeroCause(
        name="constant-score",
        label="both that it is given are the same tensor",
        note=f"`{shown}` is given the same tensor twice, and {passed}",
        helps=("give it two different tensors",),
    )


def _withheld(shown: str) -> ZeroCause:
    return ZeroCause(
        name="zero-multiplier",
        label="looks up only the row that `padding_idx` names",
        note=f"torch gives the row `padding_idx` of `{shown}` a gradient of zero, although the score moves with it",
        helps=("leave `padding_idx` out where that row stands for something", "or use an input with other rows"),
    )


def _replaced(evidence: Evidence, flow: NodeFlow, shown: str) -> ZeroCause:
    label, note, way_on = words_of_replacing(shown, evidence.target, writes_over=flow.writes_over)
    return ZeroCause(name="position-not-read", label=label, note=note, helps=(way_on,))


def _not_read(evidence: Evidence, shown: str) -> ZeroCause:
    return ZeroCause(
        name="position-not-read",
        label="only other positions are read from here on",
        note=f"`{shown}` hands on other positions than those that come from `{evidence.target}`",
        helps=("read these positions too, or ask for a layer whose positions are read",),
    )


def _put_beside(evidence: Evidence, shown: str) -> ZeroCause:
    """All positions go on; which of them has an effect is decided further on."""
    return ZeroCause(
        name="position-not-read",
        label="a gradient comes back for other positions than these",
        note=f"`{shown}` hands on every position, and what comes back is zero at all that come from "
        f"`{evidence.target}`: what follows leaves these out (by an index, a mask, a factor of zero) or is flat there",
        helps=("read these positions too, or ask for a layer whose positions are read",),
        instead=f"what comes back through `{shown}` belongs to other positions",
    )


def _multiplied(name: str, shown: str, flow: NodeFlow) -> ZeroCause:
    if has(name, "drops"):
        return ZeroCause(
            name="zero-multiplier",
            label="everything is dropped here",
            note="dropout multiplies what it drops by zero, and the gradient with it",
            helps=("use a probability below 1",),
        )
    which, parameter = "weight" if has(name, "normalises") else "other factor", flow.zero_parameter
    if parameter:
        return ZeroCause(
            name="zero-multiplier",
            label=label_of(parameter, is_the_factor=True),
            note=f"the {which} of `{shown}` is `{parameter}`: it is zero, and it scales the gradient as well",
            helps=(way_out(parameter),),
        )
    others: tuple[str, ...]
    if flow.facts.factor == 0.0 or flow.facts.zero_operands:
        label, where, others = "multiplied by exactly zero", "", ()
    else:  # the rest of the factor is another matter
        label, where = "what the gradient comes to is multiplied by exactly zero", " where a gradient comes in"
        others = ("make the score from a part that the factor does not take out",)
    return ZeroCause(
        name="zero-multiplier",
        label="its weight is exactly zero" if has(name, "normalises") and not where else label,
        note=f"the {which} of `{shown}` is zero{where}, and it scales the gradient as well",
        helps=("start the factor (gate, weight, mask, loss weight) from something other than zero", *others),
    )


def _reads_one_key(evidence: Evidence, operation: int) -> bool:
    """Whether an attention has a single key to look at: then its weight is 1, whatever the query and the key are."""
    inputs, shapes = evidence.recording.inputs_of(operation), evidence.recording.values.shape
    return len(inputs) > 1 and len(shapes[inputs[1]]) > 1 and shapes[inputs[1]][-2] == 1


def _one_key(shown: str) -> ZeroCause:
    return ZeroCause(
        name="constant-score",
        label="there is one key only, and its weight is always 1",
        note=f"`{shown}` weighs by a softmax over the keys, which sums to 1: of a single one it does not depend on the "
        "query or the key",
        helps=("try a longer input: with two tokens or more the weights move",),
    )


def _cut_off(shown: str) -> ZeroCause:
    return ZeroCause(
        name="saturation",
        label="every value that a gradient comes to sits on the flat part",
        note=f"`{shown}` is flat where its input lies here: this part of the score is as good as it can get, or out of "
        "range",
        helps=("try an input for which it is not, or make the score from the values before it",),
    )


def _saturated(shown: str) -> ZeroCause:
    return ZeroCause(
        name="saturation",
        label="every value that a gradient comes to sits on the flat part",
        note=f"`{shown}` is flat where its input lies here, so no change gets through",
        helps=("look at the values that go in: scale them down, start from other weights, or use a leaky activation",),
    )
