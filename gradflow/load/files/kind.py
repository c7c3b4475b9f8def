"""Tells what a file is from its first bytes, and refuses what holds no model in plain words."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from gradflow.errors import LoadError
from gradflow.load.files.archive_layout import require_small_table
from gradflow.load.names import did_you_mean
from gradflow.load.paths import special_kind, user_path

__all__ = ["MODEL_SUFFIXES", "FileKind", "existing_file", "model_file_kind", "names_in_zip"]

FileKind = Literal["torch.save", "legacy torch.save", "TorchScript", "torch.export", "safetensors"]

MODEL_SUFFIXES = frozenset(
    (".pt", ".pth", ".pt2", ".safetensors", ".ckpt", ".bin", ".ts", ".jit", ".torchscript", ".pkl")
)

_HEAD_SIZE = 512
_LFS_START = b"version https://git-lfs"
_OTHER_FORMATS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes it", "gradflow checks PyTorch models"),
    (b"GGUF", "a GGUF file, which holds quantised tensors without a model", "gradflow checks PyTorch models"),
    (b"\x93NUMPY", "a NumPy array", "an array can be an input: `--input FILE.npy`"),
    (b"\x08", "perhaps an ONNX or protobuf file", "gradflow checks PyTorch models"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"\x89PNG", "a picture", "a picture is an input: `--image FILE`"),
    (b"\xff\xd8\xff", "a picture", "a picture is an input: `--image FILE`"),
)


def existing_file(name: str, what: str) -> Path:
    """The path of a file that exists and is not empty, not a folder and not a git-LFS pointer.

    Raises
    ------
    LoadError
        Otherwise, naming files that are called nearly the same.
    """
    path = user_path(name)
    try:
        if path.is_dir():
            inside = sorted(entry.name for entry in path.iterdir() if entry.suffix in (*MODEL_SUFFIXES, ".py"))
            raise LoadError(
                f"`{name}` is a folder, not {what}",
                hint=f"it holds {_listed(inside)}: name one of them" if inside else "name a file",
            )
        special = special_kind(path)
        if special:
            raise LoadError(
                f"`{name}` is {special}, not {what}",
                note="gradflow reads ordinary files only: they have an end, and can be looked through first",
                hint="write what comes from it into a file",
            )
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD_SIZE)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise LoadError(
            f"there is no file `{name}`", hint=_near_files(path) or "check the spelling and the folder"
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise LoadError(f"`{name}` cannot be read", note=f"{type(error).__name__}: {reason}") from error
    if size == 0:
        raise LoadError(f"`{name}` is empty (0 bytes)", hint="write or download it again")
    if head.startswith(_LFS_START):
        raise LoadError(
            f"`{name}` is a git-LFS pointer, not the file itself",
            note="the file was checked out without its content",
            hint=f"fetch it with `git lfs pull --include {name}`",
        )
    return path


def model_file_kind(path: Path) -> FileKind:
    """What kind of model file this is.

    Raises
    ------
    LoadError
        When it is none, saying what it is instead as far as its first bytes tell.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_SIZE)
    if head.startswith(b"PK"):
        return _zip_kind(path)
    if _is_safetensors(head, path.stat().st_size):
        return "safetensors"
    if path.suffix == ".safetensors":
        raise LoadError(
            f"`{path}` is not a safetensors file",
            note="it is truncated, or something else under that name",
            hint="write or download it again",
        )
    if head.startswith(b"\x80"):
        return "legacy torch.save"
    for start, name, hint in _OTHER_FORMATS:
        if head.startswith(start):
            raise LoadError(f"`{path}` is not a PyTorch model: it is {name}", hint=hint)
    if _is_text(head):
        raise LoadError(
            f"`{path}` is a text file, not a model",
            note=f"it begins with `{head.decode(errors='replace').strip().partition(chr(10))[0][:60].strip()}`",
            hint="download it again: this may be an error page" if head.lstrip()[:1] == b"<" else "",
        )
    raise LoadError(
        f"`{path}` is not a file that torch or safetensors wrote",
        hint="write it with `torch.save`, `torch.export.save` or safetensors",
    )


def names_in_zip(path: Path) -> list[str]:
    """What a zip archive says that it holds; from a table of bounded size, and not yet held against the rest of it.

    Raises
    ------
    LoadError
        When the table cannot be read.
    """
    try:
        with path.open("rb") as file:
            require_small_table(file)
            with zipfile.ZipFile(file) as archive:
                return archive.namelist()
    except Exception as error:  # zipfile raises nearly anything for damaged tables
        raise LoadError(
            f"`{path}` is truncated or damaged",
            note=f"it begins like a file of torch.save, but its table of contents cannot be read ({error})",
            hint="write or download it again",
        ) from error


def _zip_kind(path: Path) -> FileKind:
    names = names_in_zip(path)
    inner = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inner:
        return "TorchScript"
    if "archive_format" in inner and any(name.startswith("models/") for name in inner):
        return "torch.export"
    if "serialized_exported_program.json" in names:
        raise LoadError(
            f"`{path}` was exported by a torch older than 2.8, in a format that can run code when it is loaded",
            hint="export it again with a current torch",
        )
    if "data.pkl" in inner:
        return "torch.save"
    if ".data/extern_modules" in inner:
        raise LoadError(
            f"`{path}` is a torch.package archive, which runs its own Python code when it is loaded",
            hint="save the state dict and name the model with `--arch`",
        )
    raise LoadError(f"`{path}` is a zip archive, but none that torch wrote", note=f"it holds {_listed(sorted(names))}")


def _is_safetensors(head: bytes, size: int) -> bool:
    header_size = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 8 + header_size <= size


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return False
        text = head[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\r\n\t\f" for letter in text)


def _near_files(path: Path) -> str:
    try:
        return did_you_mean(
            str(path), [str(path.parent / other.name) for other in path.parent.iterdir() if other.is_file()]
        )
    except OSError:
        return f"there is no folder `{path.parent}` either"


def _listed(names: list[str], count: int = 4) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(f"`{name}`" for name in names[:count]) + more
