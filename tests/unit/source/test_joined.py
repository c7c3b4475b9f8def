"""Which files are gone through when a value is looked for: those that imports join to the place."""

from __future__ import annotations

from pathlib import Path

from gradflow.source.program.joined import joined_to

FILES = {
    "train.py": "import helpers as h; from pkg import (\n    model,\n    data,\n)\n",
    "helpers.py": "x = 1\n",
    "pkg/__init__.py": "",
    "pkg/model.py": "from . import parts\nfrom .. \\\n    import never\n",
    "pkg/parts.py": "",
    "pkg/data.py": "import os\n",
    "other.py": "helpers = 'import helpers'  # import helpers\nfrom unrelated import thing\n",
    "unrelated.py": "def train(): pass\n",
}
JOINED = ("train.py", "helpers.py", "pkg/__init__.py", "pkg/model.py", "pkg/parts.py", "pkg/data.py")


def joined(folder: Path, *places: str) -> tuple[str, ...]:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    files = [str(folder / name) for name in FILES]
    found = joined_to(files, [str(folder / place) for place in places])
    return tuple(Path(path).relative_to(folder).as_posix() for path in found)


def test_a_file_is_joined_to_what_it_imports_and_to_what_imports_it(tmp_path: Path) -> None:
    for place in JOINED:
        assert joined(tmp_path, place) == JOINED, place


def test_a_word_that_is_no_import_joins_nothing(tmp_path: Path) -> None:
    assert joined(tmp_path, "other.py") == ("other.py", "unrelated.py")
    assert joined(tmp_path, "unrelated.py", "helpers.py") == (*JOINED, "other.py", "unrelated.py")


def test_a_place_outside_of_the_program_is_joined_to_nothing(tmp_path: Path) -> None:
    assert joined(tmp_path, "elsewhere.py") == ()
