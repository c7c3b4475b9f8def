from __future__ import annotations

import sys

import numpy
import pytest
import torch
from PIL import Image

from gradflow.errors import LoadError, UntrustedFileError, UsageError
from gradflow.load.inputs.random_input import parse_shape, random_tensor
from gradflow.load.loading import load_workload
from gradflow.load.request import Request

FILE = """
import torch

class Any(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(3, 2)

    def forward(self, *args, **kwargs):
        return self.head(torch.ones(1, 3))

def build():
    return Any()

def one():
    return torch.ones(1, 3)

def pair():
    return torch.ones(1, 3), torch.zeros(2)

def named():
    return {"x": torch.ones(1, 3), "mask": None}

def images():
    return [torch.ones(3, 8, 8), torch.ones(3, 9, 9)]

def broken():
    raise ValueError("no data")

def needs(size):
    return torch.ones(size)

def nothing():
    pass

ready = torch.full((1, 3), 2.0)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "userinputs.py").write_text(FILE)
    yield tmp_path
    sys.modules.pop("userinputs", None)


def load(folder, **options):
    return load_workload(Request(model=f"{folder}/userinputs.py:build", **options))


def shapes(workload):
    return [tuple(value.shape) for value in workload.inputs]


def test_a_factory_gives_arguments_keywords_or_one_list(folder):
    file = f"{folder}/userinputs.py"
    assert shapes(load(folder, inputs=(f"{file}:one",))) == [(1, 3)]
    assert shapes(load(folder, inputs=(f"{file}:pair",))) == [(1, 3), (2,)]
    assert float(load(folder, inputs=(f"{file}:ready",)).inputs[0].sum()) == 6
    named = load(folder, inputs=(f"{file}:named",))
    assert (named.inputs, set(named.keyword_inputs)) == ((), {"x", "mask"})
    images = load(folder, inputs=(f"{file}:images",))
    assert [type(value) for value in images.inputs] == [list]
    assert "list of [3, 8, 8] float32" in images.input_description


def test_several_inputs_are_one_argument_each(folder):
    file = f"{folder}/userinputs.py"
    workload = load(folder, inputs=(f"{file}:one", f"{file}:ready", f"{file}:named"))
    assert shapes(workload) == [(1, 3), (1, 3)]
    assert set(workload.keyword_inputs) == {"x", "mask"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("broken", "raised while it made the input"),
        ("needs", "cannot be called without arguments"),
        ("nothing", "gives `None`"),
        ("noen", "has no `noen`"),
    ],
)
def test_a_factory_that_fails_is_one_clear_error(folder, name, said):
    with pytest.raises(LoadError, match=said):
        load(folder, inputs=(f"{folder}/userinputs.py:{name}",))


def test_tensors_from_files(folder):
    torch.save(torch.ones(1, 3), folder / "x.pt")
    torch.save({"x": torch.ones(1, 3)}, folder / "named.pt")
    torch.save((torch.ones(1, 3), torch.ones(2)), folder / "pair.pt")
    numpy.save(folder / "x.npy", numpy.ones((2, 3), dtype=numpy.float32))
    assert shapes(load(folder, inputs=(f"{folder}/x.pt",))) == [(1, 3)]
    assert set(load(folder, inputs=(f"{folder}/named.pt",)).keyword_inputs) == {"x"}
    assert shapes(load(folder, inputs=(f"{folder}/pair.pt",))) == [(1, 3), (2,)]
    assert shapes(load(folder, inputs=(f"{folder}/x.npy",))) == [(2, 3)]


def test_input_files_run_nothing(folder):
    numpy.save(folder / "objects.npy", numpy.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(LoadError, match="not an array of numbers"):
        load(folder, inputs=(f"{folder}/objects.npy",))
    torch.save({"x": print}, folder / "x.pt")
    with pytest.raises(UntrustedFileError, match="print"):
        load(folder, inputs=(f"{folder}/x.pt",))
    (folder / "empty.pt").touch()
    with pytest.raises(LoadError, match="is empty"):
        load(folder, inputs=(f"{folder}/empty.pt",))
    torch.save(torch.nn.Linear(1, 1), folder / "model.pt")
    with pytest.raises(LoadError, match="holds a model, not an input"):
        load(folder, inputs=(f"{folder}/model.pt",))


@pytest.mark.parametrize(
    ("text", "shape", "dtype"),
    [
        ("1,3,224,224", (1, 3, 224, 224), None),
        ("[1, 3, 4]", (1, 3, 4), None),
        ("1x3x8", (1, 3, 8), None),
        ("1,16:int64", (1, 16), torch.int64),
        ("2:torch.half", (2,), torch.float16),
        ("", (), None),
    ],
)
def test_a_shape_is_read(text, shape, dtype):
    assert parse_shape(text) == (shape, dtype)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "a,b",
            "1,-3",
            "1,3:float31",
            "1,3.5",
            "99999,99999,99999",
            "9" * 5000,
            "0,99999999999999",
            "4000000000:uint8",
        ),
        *("-1", "1e9", "1,5:", "\0", "2147483648,2147483648,2147483648,2147483648"),
    ],
)
def test_what_is_no_shape_is_a_usage_error(text):
    with pytest.raises(UsageError):
        parse_shape(text)


def test_a_random_input_has_a_bound_in_bytes():
    assert parse_shape("1024,1024,1024")[0] == (1024, 1024, 1024)  # 4 GiB
    with pytest.raises(UsageError, match=r"4\.00 GiB") as caught:
        parse_shape("1024,1024,1025")
    assert "--input" in caught.value.hint
    with pytest.raises(UsageError):
        parse_shape("1024,1024,1024:float64")
    with pytest.raises(UsageError):
        random_tensor((2**20,), None, model=torch.nn.Identity(), seed=0, most=2**21)
    assert random_tensor((2**20,), None, model=torch.nn.Identity(), seed=0, most=2**22).numel() == 2**20


def test_random_inputs_are_those_that_torch_draws():
    drawn = torch.randn(3, 4, generator=torch.Generator().manual_seed(5))
    assert torch.equal(random_tensor((3, 4), torch.float32, model=torch.nn.Identity(), seed=5), drawn)
    ids = torch.randint(0, 10, (3, 4), generator=torch.Generator().manual_seed(5))
    assert torch.equal(random_tensor((3, 4), torch.int64, model=torch.nn.Identity(), seed=5), ids)


def test_random_inputs_are_repeatable_and_leave_the_generator_alone():
    state = torch.random.get_rng_state()
    model = torch.nn.Identity()
    one = random_tensor((4, 4), None, model=model, seed=1)
    assert torch.equal(one, random_tensor((4, 4), None, model=model, seed=1))
    assert not torch.equal(one, random_tensor((4, 4), None, model=model, seed=2))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_given_shapes_are_described(folder):
    workload = load(folder, input_shapes=("2,3", "1,5:int64"))
    assert workload.input_description == "random [2, 3] float32, [1, 5] int64, seed 0"


def test_ids_stay_within_the_embedding(tmp_path):
    (tmp_path / "userids.py").write_text("import torch\nmodel = torch.nn.Embedding(3, 4)\n")
    workload = load_workload(Request(model=f"{tmp_path}/userids.py:model", input_shapes=("1,400:int64",)))
    assert int(workload.inputs[0].max()) == 2
    assert workload.model(*workload.inputs).shape == (1, 400, 4)
    sys.modules.pop("userids", None)


def test_dtype_and_seed_reach_model_and_input(folder):
    workload = load(folder, dtype="float64", seed=7)
    assert workload.model.head.weight.dtype is torch.float64
    assert workload.inputs[0].dtype is torch.float64
    assert (workload.seed, "seed 7" in workload.input_description) == (7, True)
    again = load(folder, dtype="float64", seed=7)
    assert torch.equal(again.model.head.weight, workload.model.head.weight)
    assert torch.equal(again.inputs[0], workload.inputs[0])


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "int64"},
        {"dtype": "float33"},
        {"device": "warp"},
        {"image": "a.jpg", "input_shapes": ("1,3",)},
        {"inputs": ("a.pt",), "input_shapes": ("1,3",)},
    ],
)
def test_options_that_make_no_sense_are_usage_errors(folder, options):
    with pytest.raises(UsageError):
        load(folder, **options)


CONV = """
import torch
def build(channels=3):
    return torch.nn.Sequential(torch.nn.Conv2d(channels, 2, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
"""


@pytest.fixture
def conv(tmp_path):
    (tmp_path / "userconv.py").write_text(CONV)
    yield f"{tmp_path}/userconv.py:build"
    sys.modules.pop("userconv", None)


def picture(path, size=(300, 260)):
    pixels = numpy.zeros((size[1], size[0], 3), dtype=numpy.uint8)
    pixels[..., 0], pixels[..., 1] = 255, numpy.linspace(0, 255, size[0]).astype(numpy.uint8)
    Image.fromarray(pixels).save(path)
    return str(path)


def test_a_picture_is_resized_cropped_and_normalised(conv, tmp_path):
    path = picture(tmp_path / "photo.png")
    workload = load_workload(Request(model=conv, image=path))
    (tensor,) = workload.inputs
    assert tensor.shape == (1, 3, 224, 224)
    assert torch.allclose(tensor[0, 0], torch.tensor((1 - 0.485) / 0.229), atol=1e-5)
    assert (workload.image.shape, workload.image.dtype) == ((224, 224, 3), numpy.uint8)
    assert workload.image[..., 0].min() == 255
    assert any("ImageNet" in text for text in workload.assumptions)


def test_the_usual_preprocessing_is_that_of_torchvision(conv, tmp_path):
    presets = pytest.importorskip("torchvision.transforms._presets")
    path = picture(tmp_path / "photo.png", (333, 517))
    expected = presets.ImageClassification(crop_size=224)(Image.open(path).convert("RGB"))
    (tensor,) = load_workload(Request(model=conv, image=path)).inputs
    assert torch.allclose(tensor[0], expected, atol=0.05)


def test_a_model_of_one_channel_gets_a_grey_picture(conv, tmp_path):
    path = picture(tmp_path / "photo.png")
    workload = load_workload(Request(model=conv, image=path, model_args=(("channels", "1"),)))
    assert workload.inputs[0].shape == (1, 1, 224, 224)
    assert float(workload.inputs[0].max()) <= 1
    assert workload.image.shape == (224, 224, 3)


@pytest.mark.parametrize("kept", [0, 40, 500])
def test_a_broken_picture_is_one_clear_error(conv, tmp_path, kept):
    path = tmp_path / "photo.png"
    picture(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(LoadError, match=r"is empty|picture"):
        load_workload(Request(model=conv, image=str(path)))


def test_a_picture_given_as_input_gets_the_right_option(conv, tmp_path):
    path = picture(tmp_path / "photo.png")
    with pytest.raises(LoadError, match="is a picture") as caught:
        load_workload(Request(model=conv, inputs=(path,)))
    assert "--image" in caught.value.hint
