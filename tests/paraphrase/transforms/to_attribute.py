"""Local variables as attributes: ``h = E`` in a method becomes ``self.kept_h = E``, elsewhere ``Kept.h = E``."""

from __future__ import annotations

import ast

import libcst as cst

from tests.paraphrase.transforms.code import Change, Source, after_imports, bound_in, imported_in, tree_of

_HOLDER = "Kept"
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def to_attribute(source: Source) -> Change | None:
    """Keep what functions assign, and what a script assigns outside of them, as attributes."""
    if _HOLDER in source.text:
        return None
    changer = _ToAttributes()
    module = source.module.visit(changer)
    if source.question.kind == "script":
        tree = ast.parse(module.code)
        names = _assigned(tree) - bound_in_functions(tree)
        statements = [each.visit(_Attributes(names, f"{_HOLDER}.")) if names else each for each in module.body]
        changer.count += len(names)
        module = module.with_changes(body=statements)
    if not changer.count:
        return None
    place = after_imports(module)
    holder = cst.parse_statement(f"class {_HOLDER}:\n    pass\n")
    return Change(module=module.with_changes(body=[*module.body[:place], holder, *module.body[place:]]))


def bound_in_functions(tree: ast.Module) -> set[str]:
    """Names that a scope within the module binds for itself: there the same word is another variable."""
    inner = [node for node in ast.walk(tree) if isinstance(node, (*_SCOPES, *_COMPREHENSIONS))]
    names: set[str] = set()
    for node in inner:
        names |= bound_in(node) - ({node.name} if isinstance(node, ast.FunctionDef | ast.ClassDef) else set())
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            names |= set(node.names)
    return names


def _assigned(tree: ast.AST) -> set[str]:
    """Names that plain assignments bind in this scope, and nothing else does."""
    assigned: set[str] = set()
    otherwise: set[str] = set()
    waiting = list(ast.iter_child_nodes(tree))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Assign | ast.AugAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                assigned |= bound_in(target)
        elif isinstance(node, ast.For | ast.comprehension):
            otherwise |= bound_in(node.target)
        elif isinstance(node, ast.Delete | ast.NamedExpr | ast.AnnAssign | ast.withitem):
            otherwise |= bound_in(node)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            otherwise |= set(node.names)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            otherwise.add(node.name)
        if not isinstance(node, _SCOPES):
            waiting.extend(ast.iter_child_nodes(node))
    return {name for name in assigned - otherwise - imported_in(tree) if not name.startswith("__")}


class _ToAttributes(cst.CSTTransformer):
    """Changes the outermost functions; what is defined within one sees the attributes too."""

    def __init__(self) -> None:
        self.count = 0

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        return False

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        tree = tree_of(updated_node)
        assert isinstance(tree, ast.Module)
        (function,) = tree.body
        assert isinstance(function, ast.FunctionDef)
        names = _assigned(function) - bound_in(function.args) - _bound_within(function)
        if function.name == "__init__" or not names or any(isinstance(each, ast.Yield) for each in ast.walk(function)):
            return updated_node
        arguments = [each.arg for each in function.args.args]
        prefix = "self.kept_" if arguments[:1] == ["self"] else f"{_HOLDER}."
        self.count += len(names)
        body = updated_node.body.visit(_Attributes(names, prefix))
        assert isinstance(body, cst.BaseSuite)
        return updated_node.with_changes(body=body)


def _bound_within(function: ast.FunctionDef) -> set[str]:
    return bound_in_functions(ast.Module(body=function.body, type_ignores=[]))


class _Attributes(cst.CSTTransformer):
    def __init__(self, names: set[str], prefix: str) -> None:
        self.names, self.prefix = names, prefix

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
        if original_node.value not in self.names:
            return updated_node
        made = cst.parse_expression(f"{self.prefix}{original_node.value}")
        assert isinstance(made, cst.Attribute)
        return made.with_changes(lpar=updated_node.lpar, rpar=updated_node.rpar)

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.Attribute:
        return updated_node.with_changes(attr=original_node.attr)

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:
        return updated_node.with_changes(keyword=original_node.keyword)

    def leave_Param(self, original_node: cst.Param, updated_node: cst.Param) -> cst.Param:
        return updated_node.with_changes(name=original_node.name)

    def visit_Import(self, node: cst.Import) -> bool:
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        return False
