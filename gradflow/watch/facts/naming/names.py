"""How to call a value: by its parameter, its layer, or the words of the program's own source."""

from __future__ import annotations

import ast
import functools
from collections.abc import Sequence
from typing import Literal

from gradflow.location import SourceSpan, is_installed, source_line
from gradflow.recording import Recording
from gradflow.recording.program.events import Backward, GradRead
from gradflow.source.assigned import assigned_name
from gradflow.source.class_source import parse_file
from gradflow.torch_facts.operations.families import is_identity
from gradflow.torch_facts.operations.queries import has
from gradflow.watch.facts.leaves import is_leaf_value
from gradflow.watch.observation import Observation

__all__ = [
    "call_of_value",
    "called_as",
    "calls_of_value",
    "layer_of",
    "name_of_value",
    "parameter_names",
    "read_of",
    "score_text",
]


def call_of_value(recording: Recording, value: int) -> int:
    """The outermost module call that returned a value, or a view, copy or slice of it; -1 for none."""
    return _returned_by(recording, value)[0]


def calls_of_value(recording: Recording, value: int) -> tuple[int, ...]:
    """All module calls that returned a value, or what it is a view, copy or slice of; the outermost first."""
    returned = _returned_by(recording, value)[1]
    return tuple(call.id for call in recording.calls if returned in call.outputs) if returned >= 0 else ()


def layer_of(observation: Observation, value: int) -> tuple[str, str]:
    """Qualified name and class of the module that a value came from; empty for none."""
    return _layer(observation.recording, *_returned_by(observation.recording, value))


def _layer(recording: Recording, call: int, returned: int) -> tuple[str, str]:
    calls = recording.calls
    if call < 0:
        return "", ""
    # the model itself, which has no name, hands on what one of its layers has made
    inner = (one for one in calls[call + 1 :] if one.module and returned in one.outputs)
    made = calls[call] if calls[call].module else next(inner, calls[call])
    return made.module or own_word_for(recording, made.site) or made.type_name, made.type_name


def _returned_by(recording: Recording, value: int) -> tuple[int, int]:
    """The call, and the value on the way back that it returned."""
    made = {output: call.id for call in reversed(recording.calls) for output in call.outputs}
    while True:
        if value in made:
            return made[value], value
        producer = recording.values.producer[value]
        inputs = recording.inputs_of(producer) if producer >= 0 else ()
        if len(inputs) != 1:
            return -1, -1
        value = inputs[0]


def _is_handed_on(recording: Recording, value: int, returned: int) -> bool:
    """Whether a value is what a module returned, or a view, copy or slice of it, and not computed from that."""
    while value != returned:
        producer = recording.values.producer[value]
        name = recording.name_of(producer)
        if not (is_identity(name) or has(name, "splits", "selects")):
            return False
        value = recording.inputs_of(producer)[0]
    return True


def parameter_names(observation: Observation, values: Sequence[int]) -> str:
    """The first parameter among them that has a name, and how many more there are."""
    names = (observation.recording.leaf_names.get(value, ("", ""))[1] for value in values)
    name = next(filter(None, names), "")
    more = f" and {len(values) - 1:,} more" if len(values) > 1 else ""
    return (f"`{name}`" if name else "a parameter") + more


def name_of_value(observation: Observation, value: int) -> tuple[str, Literal["layer", "parameter"]]:
    """How to call a value: a parameter's name, the layer that made it, or its shape."""
    role, name = observation.recording.leaf_names.get(value, ("", ""))
    if role == "parameter" and name:
        return (name if "." in name else _of_a_lone_layer(observation, value, name)), "parameter"
    recording = observation.recording
    call, returned = _returned_by(recording, value)
    layer, _ = (
        _layer(recording, call, returned) if call >= 0 and _is_handed_on(recording, value, returned) else ("", "")
    )
    # what a module was given and lets through, as `nn.Identity` does, has another name in the program
    if layer and recording.values.producer[returned] >= recording.calls[call].first_operation:
        return layer, "layer"
    for read in observation.program.reads:
        if read.value == value:
            text = read_of(observation, read) or _text_at(observation.recording.site_span(read.site))
            if text:
                return text, "parameter" if read.is_leaf else "layer"
    asked = _as_asked_for(observation, value)
    if asked:
        return asked, "parameter" if is_leaf_value(observation.recording, value) else "layer"
    kind: Literal["layer", "parameter"] = "parameter" if is_leaf_value(observation.recording, value) else "layer"
    producer = observation.recording.values.producer[value]
    named = assigned_name(observation.recording.span_of(producer)) if producer >= 0 else ""
    if named or layer:
        return (named, kind) if named else (layer, "layer")
    shape = ", ".join(map(str, observation.recording.values.shape[value]))
    return f"a tensor of shape [{shape}]" if shape else "a number", "layer"


def _of_a_lone_layer(observation: Observation, value: int, name: str) -> str:
    """``actor.weight`` for the weight of a layer that is a model by itself, after what the program calls it by."""
    recording = observation.recording
    for call, key in zip(recording.calls, observation.program.call_modules, strict=True):
        if call.parent < 0 and not call.module and value in observation.program.modules[key].parameters:
            word = called_as(recording, call.site)
            if word:
                return f"{word}.{name}"
    return name


def called_as(recording: Recording, site: int) -> str:
    """``G`` or ``self.teacher`` where the program calls that; empty where it is not called by a plain name."""
    match _parsed(recording.site_span(site)):
        case ast.Call(func=ast.Name() | ast.Attribute() as called) if _is_plain(called):
            return ast.unparse(called)
    return ""


def own_word_for(recording: Recording, site: int) -> str:
    """``G`` or ``self.teacher`` where that can only be the module itself, called by the program; else empty.

    What stands there may be a function that calls the module, as in ``checkpoint(net, x)`` or ``trainer.fit(net)``.
    """
    span = recording.site_span(site)
    word = called_as(recording, site) if span is not None and not is_installed(span.path) else ""
    if span is None or not word or word.removeprefix("self.").count("."):
        return ""
    return "" if word in _functions_and_imports(span.path) else word


@functools.lru_cache(maxsize=64)
def _functions_and_imports(path: str) -> frozenset[str]:
    """The names that a file imports, or defines as functions and classes."""
    tree = parse_file(path)
    found = set[str]()
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update((one.asname or one.name).partition(".")[0] for one in node.names)
    return frozenset(found)


def read_of(observation: Observation, read: GradRead) -> str:
    """``kept[0]`` where the program reads ``kept[0].grad``; empty where it is not read so."""
    text = _text_at(observation.recording.site_span(read.site))
    return text.removesuffix(".grad") if text.endswith(".grad") else ""


def _is_plain(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _as_asked_for(observation: Observation, value: int) -> str:
    """The words of ``torch.autograd.grad(score, x)`` for what was asked; empty where they are not plain."""
    for backward in observation.program.backwards:
        if backward.kind != "grad" or value not in backward.inputs:
            continue
        match _parsed(observation.recording.site_span(backward.site)):
            case ast.Call(args=[_, ast.Tuple(elts=several) | ast.List(elts=several), *_]):
                asked = several[backward.inputs.index(value)] if len(several) == len(backward.inputs) else None
            case ast.Call(args=[_, single, *_]) if len(backward.inputs) == 1:
                asked = single
            case _:
                asked = None
        if isinstance(asked, ast.Name | ast.Attribute | ast.Subscript):
            return ast.unparse(asked)
    return ""


def score_text(observation: Observation, backward: Backward) -> str:
    """The score as the program's own source calls it; a library's name for it would tell nobody anything."""
    span = observation.recording.site_span(backward.site)
    tree = _parsed(span) if span is not None and not is_installed(span.path) else None
    if not isinstance(tree, ast.Call):
        return "the score"
    if isinstance(tree.func, ast.Attribute) and tree.func.attr == "backward" and not _is_autograd(tree.func.value):
        return f"`{ast.unparse(tree.func.value)}`"
    named = [keyword.value for keyword in tree.keywords if keyword.arg in ("tensors", "outputs")]
    given = [*tree.args[:1], *named]
    return f"`{ast.unparse(given[0])}`" if given else "the score"


def _is_autograd(node: ast.expr) -> bool:
    return ast.unparse(node).endswith("autograd")


def _parsed(span: SourceSpan | None) -> ast.expr | None:
    try:
        return ast.parse(_text_at(span).strip(), mode="eval").body
    except SyntaxError:
        return None


def _text_at(span: SourceSpan | None) -> str:
    if span is None or span.column is None or span.end_column is None or span.end_line != span.line:
        return ""
    return source_line(span.path, span.line)[span.column - 1 : span.end_column - 1]
