"""Lines that change nothing: every line moves, and other operations stand beside those of the program."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

import libcst as cst

from tests.paraphrase.transforms.code import (
    BlockTransformer,
    Change,
    Source,
    after_imports,
    imported_in,
    is_docstring,
    only_small,
    statement,
)


def extra_lines(source: Source) -> Change | None:
    """Before each statement of a function, of a loop or of a script a line that computes something unused."""
    has_torch = "torch" in imported_in(ast.parse(source.text))
    adder = _Adder(source.fresh("aside"), has_torch=has_torch, in_script=source.question.kind == "script")
    module = source.module.visit(adder)
    return Change(module=module)


class _Adder(BlockTransformer):
    def __init__(self, names: Iterator[str], *, has_torch: bool, in_script: bool) -> None:
        self.names, self.in_script = names, in_script
        self.values = ["len('a line more')", "(1, 2)[0]", *(["torch.zeros(2) + 1"] if has_torch else [])]
        self.in_class = False

    def change_block(self, statements: Sequence[cst.BaseStatement], *, in_module: bool) -> list[cst.BaseStatement]:
        if in_module and not self.in_script:
            return list(statements)
        first = after_imports(cst.Module(statements)) if in_module else int(is_docstring(statements[0]))
        changed = list(statements[:first])
        for number, each in enumerate(statements[first:]):
            if not isinstance(only_small(each), cst.Pass | cst.Import | cst.ImportFrom):
                value = self.values[number % len(self.values)]
                changed.append(statement(f"{next(self.names)} = {value}"))
            changed.append(each)
        return changed

    def leave_ClassDef(self, original_node: cst.ClassDef, updated_node: cst.ClassDef) -> cst.ClassDef:
        # the class itself stays: what stands in it may be its fields
        body = updated_node.body
        if not isinstance(body, cst.IndentedBlock):
            return updated_node
        kept = [each for each in body.body if not cst.Module([]).code_for_node(each).lstrip().startswith("aside_")]
        return updated_node.with_changes(body=body.with_changes(body=kept))
