"""From ``[tool.gradflow]`` of a ``pyproject.toml`` to declared models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradflow.declared.model import DeclaredModel
from gradflow.declared.toml_file import read_toml
from gradflow.errors import UsageError
from gradflow.load.names import did_you_mean
from gradflow.load.request import Request

__all__ = ["read_declared_models"]

_TEXTS = ("source", "weights", "arch", "image", "target", "output", "score", "loss", "device", "dtype")
_LISTS = ("inputs", "input-shapes", "layers", "disconnected", "except", "frozen", "skips")
_FLAGS = ("trust", "train", "all-parameters-learn")
_KEYS = (*_TEXTS, *_LISTS, *_FLAGS, "seed", "model-args")


def read_declared_models(pyproject: Path) -> tuple[DeclaredModel, ...]:
    """The models of ``[tool.gradflow.models]``, in the order in which they stand.

    Raises
    ------
    UsageError
        When the file is no TOML, or a table has a key that there is not, or a value of the wrong type.
    """
    try:
        project = read_toml(pyproject)
    except (OSError, ValueError) as error:
        raise UsageError(f"`{pyproject}` cannot be read", note=str(error)) from error
    settings = _table(_table(project, "tool", "tool"), "gradflow", "tool.gradflow")
    unknown = [key for key in settings if key != "models"]
    if unknown:
        raise UsageError(
            f"`[tool.gradflow]` has no key `{unknown[0]}`", hint="models are declared as `[tool.gradflow.models.NAME]`"
        )
    models = settings.get("models", {})
    if not isinstance(models, dict) or not all(isinstance(table, dict) for table in models.values()):
        raise UsageError(
            "`tool.gradflow.models` is not a table of tables", hint="declare a model as `[tool.gradflow.models.NAME]`"
        )
    return tuple(_model(name, table, pyproject.resolve()) for name, table in models.items())


def _table(content: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    value = content.get(key, {})
    if not isinstance(value, dict):
        raise UsageError(
            f"`{where}` in pyproject.toml is not a table",
            hint="models are declared as `[tool.gradflow.models.NAME]`",
        )
    return value


def _model(name: str, table: Mapping[str, Any], pyproject: Path) -> DeclaredModel:
    where = f"[tool.gradflow.models.{name}]"
    for key, value in table.items():
        _require_known(where, key)
        _require_type(where, key, value)
    if "source" not in table:
        raise UsageError(f"`{where}` names no model", hint='for example `source = "train.py:build"`')
    lists = {key: tuple(table.get(key, ())) for key in _LISTS}
    expected = any(lists[key] for key in ("layers", "disconnected", "frozen", "skips"))
    learns = bool(table.get("all-parameters-learn", bool(lists["except"]) or "loss" in table))
    request = Request(
        model=table["source"],
        weights=table.get("weights"),
        arch=table.get("arch"),
        model_args=tuple((key, str(value)) for key, value in table.get("model-args", {}).items()),
        image=table.get("image"),
        inputs=lists["inputs"],
        input_shapes=lists["input-shapes"],
        target=str(table["target"]) if "target" in table else None,
        output=table.get("output"),
        score=table.get("score"),
        device=table.get("device"),
        dtype=table.get("dtype"),
        # a test of a random initialisation has to give the same answer each time
        seed=table.get("seed", 0),
        mode="train" if table.get("train", False) else None,
    )
    return DeclaredModel(
        name=name,
        request=request,
        pyproject=pyproject,
        declares_trust=table.get("trust", False),
        layers=lists["layers"] if expected or learns else ("auto",),
        disconnected=lists["disconnected"],
        all_parameters_learn=learns,
        except_=lists["except"],
        frozen=lists["frozen"],
        skips=lists["skips"],
        loss=table.get("loss"),
    )


def _require_known(where: str, key: str) -> None:
    if key not in _KEYS:
        raise UsageError(f"`{where}` has no key `{key}`", hint=did_you_mean(key, _KEYS) or f"keys: {', '.join(_KEYS)}")


def _require_type(where: str, key: str, value: Any) -> None:
    if key in _LISTS:
        is_right, wanted = isinstance(value, list) and all(isinstance(one, str) for one in value), "a list of texts"
    elif key in _FLAGS:
        is_right, wanted = isinstance(value, bool), "`true` or `false`"
    elif key == "seed":
        is_right, wanted = type(value) is int and 0 <= value < 2**63, "a whole number from 0 to 2^63 - 1"
    elif key == "model-args":
        is_right, wanted = isinstance(value, dict), "a table"
    elif key == "target":
        is_right, wanted = type(value) in (int, str), "a number or a text"
    else:
        is_right, wanted = isinstance(value, str), "a text"
    if not is_right:
        raise UsageError(f"`{key}` of `{where}` is not {wanted}")
