"""Eight more layers with a hundred more parameters before the first layer of a model, which hand on what they get."""

from __future__ import annotations

import libcst as cst

from tests.paraphrase.oracle import ADDED
from tests.paraphrase.transforms.code import Change, Source, after_imports, body_of, code_of, is_docstring

_LAYER = """
class FrontLayer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scales = torch.nn.ParameterList(torch.nn.Parameter(torch.ones(())) for _ in range(13))

    def forward(self, x):
        for scale in self.scales:
            x = x * scale
        return x
"""
_MAKE = f"self.{ADDED} = torch.nn.Sequential(*(FrontLayer() for _ in range(8)))"


def layers_in_front(source: Source) -> Change | None:
    """Put them into the last model that the program defines, if it takes a tensor of floats."""
    models = [each for each in source.module.body if isinstance(each, cst.ClassDef) and _is_model(each)]
    if source.question.kind == "audit":
        models = [each for each in models if each.name.value == source.question.model]
    if not models or "FrontLayer" in source.text:
        return None
    model = models[-1]
    changed = model.visit(_InFront())
    assert isinstance(changed, cst.ClassDef)
    body = [changed if each is model else each for each in source.module.body]
    place = after_imports(source.module)
    layer = [*cst.parse_module("import torch\n" + _LAYER).body]
    return Change(module=source.module.with_changes(body=[*body[:place], *layer, *body[place:]]), adds_parameters=True)


def _is_model(node: cst.ClassDef) -> bool:
    if not any(code_of(each.value).endswith("Module") for each in node.bases):
        return False
    functions = {each.name.value: each for each in body_of(node) if isinstance(each, cst.FunctionDef)}
    return {"__init__", "forward"} <= functions.keys() and len(functions["forward"].params.params) > 1


class _InFront(cst.CSTTransformer):
    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        body = updated_node.body
        if not isinstance(body, cst.IndentedBlock):
            return updated_node
        if updated_node.name.value == "__init__":
            # after `super().__init__()`: before it a module takes no parameters
            place = next(
                (number for number, each in enumerate(body.body, start=1) if "super().__init__" in code_of(each)), None
            )
            text = _MAKE
        elif updated_node.name.value == "forward":
            place = int(is_docstring(body.body[0]))
            name = updated_node.params.params[1].name.value
            text = f"{name} = self.{ADDED}({name}) if {name}.is_floating_point() else {name}"
        else:
            return updated_node
        if place is None:
            return updated_node
        made = cst.parse_statement(text)
        return updated_node.with_changes(body=body.with_changes(body=[*body.body[:place], made, *body.body[place:]]))
