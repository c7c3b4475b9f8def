"""From `[tool.gradflow]` to declared models, and what is said of mistakes in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gradflow.declared.expectations import expectations_of
from gradflow.declared.reading import read_declared_models
from gradflow.declared.toml_file import declares_models
from gradflow.errors import UsageError


def write(folder: Path, text: str) -> Path:
    path = folder / "pyproject.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key_arrives(tmp_path: Path) -> None:
    (model,) = read_declared_models(
        write(
            tmp_path,
            """
            [tool.gradflow.models.net]
            source = "net.py:build"
            inputs = ["net.py:batch"]
            target = 3
            output = "logits"
            train = true
            seed = 7
            model-args = { width = 2 }
            layers = ["a", "b.*"]
            disconnected = ["teacher"]
            skips = ["a"]
            frozen = ["teacher"]
            loss = "net.py:loss"
            except = ["a.bias"]
            """,
        )
    )
    request = model.request
    assert (request.model, request.inputs, request.target) == ("net.py:build", ("net.py:batch",), "3")
    assert (request.output, request.mode, request.seed) == ("logits", "train", 7)
    assert request.model_args == (("width", "2"),)
    assert (model.layers, model.disconnected) == (("a", "b.*"), ("teacher",))
    assert (model.all_parameters_learn, model.except_, model.loss) == (True, ("a.bias",), "net.py:loss")
    assert model.folder == tmp_path
    kinds = [one.kind for one in expectations_of(model)]
    assert kinds == ["layers", "disconnected", "skips", "frozen", "all-parameters-learn"]


def test_a_model_of_which_nothing_is_expected_is_checked_all_the_same(tmp_path: Path) -> None:
    (model,) = read_declared_models(write(tmp_path, '[tool.gradflow.models.net]\nsource = "resnet18"\n'))
    assert [(one.kind, model.layers) for one in expectations_of(model)] == [("layers", ("auto",))]
    assert model.request.seed == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool.gradflow.models.net]\nlayers = ['a']", "names no model"),
        ("[tool.gradflow.models.net]\nsource = 'a'\nlayer = ['a']", "did you mean `layers`"),
        ("[tool.gradflow.models.net]\nsource = 'a'\nlayers = 'a'", "`layers` of .* is not a list of texts"),
        ("[tool.gradflow.models.net]\nsource = 'a'\nseed = -1", "`seed` of .* is not a whole number"),
        ("[tool.gradflow.models.net]\nsource = 'a'\ntrain = 1", "`train` of .* is not `true` or `false`"),
        ("[tool.gradflow]\nmodel = 'a'", "has no key `model`"),
        ("[tool.gradflow]\nmodels = ['a']", "is not a table of tables"),
        ("[tool.gradflow", "cannot be read"),
        ("tool.gradflow = 3", "`tool.gradflow` in pyproject.toml is not a table"),
        ("tool = 3", "`tool` in pyproject.toml is not a table"),
        ("[[tool.gradflow]]\na = 1", "`tool.gradflow` in pyproject.toml is not a table"),
        ("[tool.gradflow]\nmodels.net = 3", "is not a table of tables"),
        ("[tool.gradflow.models.net]\nsource = ['a']", "`source` of .* is not a text"),
        ("[tool.gradflow.models.net]\nsource = 'a'\nseed = 9223372036854775808", "`seed` of .* is not a whole number"),
        ("a = " + "[" * 5000, "cannot be read"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_declared_models(write(tmp_path, text))
    assert caught.match(said)


def test_trust_is_the_word_of_the_file_and_not_of_the_user(tmp_path: Path) -> None:
    (model,) = read_declared_models(write(tmp_path, "[tool.gradflow.models.net]\nsource = 'm.pt'\ntrust = true\n"))
    assert model.declares_trust
    assert not model.request.trust
    assert model.trusted().request.trust


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_no_pyproject(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pyproject.toml")
    assert not declares_models(tmp_path / "pyproject.toml")
    with pytest.raises(UsageError, match="a named pipe"):
        read_declared_models(tmp_path / "pyproject.toml")


def test_a_file_without_end_is_no_pyproject(tmp_path: Path) -> None:
    with (tmp_path / "pyproject.toml").open("wb") as file:
        file.write(b"[tool.gradflow]\n#")
        file.truncate(2**34)  # takes no room on the disk
    assert not declares_models(tmp_path / "pyproject.toml")
    with pytest.raises(UsageError, match="more than"):
        read_declared_models(tmp_path / "pyproject.toml")
