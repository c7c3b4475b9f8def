from __future__ import annotations

from pathlib import Path

import pytest

from gradflow.errors import LoadError, UsageError
from gradflow.load.model_source import obtain_model
from gradflow.load.request import Request
from gradflow.load.user_code import UserCode


@pytest.mark.parametrize("name", ["hf", "hf/", "./hf"])
def test_a_folder_with_arch_is_called_a_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "model.safetensors").touch()
    with pytest.raises(LoadError, match=f"`{name}` is a folder") as caught:
        obtain_model(Request(model=name, arch="hf.py:bert"), UserCode())
    assert "`model.safetensors`" in caught.value.hint


def test_what_is_no_file_with_arch_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="`--arch` is for files"):
        obtain_model(Request(model="hf", arch="hf.py:bert"), UserCode())
