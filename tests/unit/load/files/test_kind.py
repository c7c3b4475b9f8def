from __future__ import annotations

import zipfile

import pytest

from gradflow.errors import LoadError
from gradflow.load.files.kind import existing_file, model_file_kind


def test_a_missing_file_names_one_that_is_called_nearly_the_same(tmp_path):
    (tmp_path / "resnet_best.pth").write_bytes(b"x")
    with pytest.raises(LoadError, match="there is no file") as caught:
        existing_file(str(tmp_path / "resnet_bset.pth"), "a model")
    assert "resnet_best.pth" in caught.value.hint


def test_a_folder_lists_what_it_holds(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"x")
    with pytest.raises(LoadError, match="is a folder, not a model") as caught:
        existing_file(str(tmp_path), "a model")
    assert "`model.pt`" in caught.value.hint


def test_an_empty_file_says_so(tmp_path):
    path = tmp_path / "model.pt"
    path.touch()
    with pytest.raises(LoadError, match="is empty"):
        existing_file(str(path), "a model")


def test_a_git_lfs_pointer_names_the_command_that_fetches_it(tmp_path):
    path = tmp_path / "model.pt"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 102\n")
    with pytest.raises(LoadError, match="git-LFS pointer") as caught:
        existing_file(str(path), "a model")
    assert "git lfs pull" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html><html>404</html>", "text file"),
        (b"just some words\n", "text file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"GGUF" + bytes(100), "GGUF"),
        (b"\x93NUMPY" + bytes(100), "NumPy array"),
        (b"\x89PNG" + bytes(100), "a picture"),
        (bytes(range(129, 256)) * 4, "not a file that torch"),
        (b"PK\x03\x04" + bytes(100), "truncated or damaged"),
    ],
)
def test_what_is_no_model_is_named(tmp_path, content, said):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(LoadError, match=said):
        model_file_kind(path)


def test_a_zip_of_something_else_lists_its_content(tmp_path):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("holiday.jpg", "x")
    with pytest.raises(LoadError, match="zip archive") as caught:
        model_file_kind(path)
    assert "holiday.jpg" in caught.value.note


def test_a_truncated_safetensors_file_is_known_by_its_name(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes((10_000).to_bytes(8, "little") + b'{"a":')
    with pytest.raises(LoadError, match="not a safetensors file"):
        model_file_kind(path)
