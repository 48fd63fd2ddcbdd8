"""The data sets of images."""

import gzip
import json

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from collapse_core import CollapseError
from collapse_core.testing import check_dataset
from collapse_diffusion.data import Captions, Digits, FashionMnist
from collapse_diffusion.data.classes import FASHION
from collapse_diffusion.data.images import PNG, open_image, to_array, to_content, to_contents, to_tensor


def write_idx(path, array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    path.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))


@pytest.fixture
def fashion(tmp_path):
    source = np.random.default_rng(0)
    for stem, num in (("train", 40), ("t10k", 20)):
        write_idx(tmp_path / f"{stem}-images-idx3-ubyte.gz", source.integers(0, 256, (num, 28, 28)))
        write_idx(tmp_path / f"{stem}-labels-idx1-ubyte.gz", np.arange(num) % 10)
    return FashionMnist(use="fashion-mnist", path=str(tmp_path), num_draws=2)


@pytest.fixture
def captions(tmp_path):
    rows = [{"file_name": f"{name}.png", "text": f"a {name}", "artist": "Ada"} for name in ("dog", "cat")]
    for level, row in enumerate(rows):
        Image.new("RGB", (6, 4), (level, 10, 200)).save(tmp_path / row["file_name"])
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Captions(use="captions", path=str(tmp_path), forget=["a church"], num_draws=3)


def test_digits_keep_the_promises_of_a_data_set(digits):
    check_dataset(digits)


def test_fashion_keeps_them(fashion):
    check_dataset(fashion)


def test_captions_keep_them(captions):
    check_dataset(captions)


def test_digits_are_split_into_what_is_forgotten_what_is_kept_and_what_is_held_out():
    data = Digits(forget=[8, 3], num_draws=4)
    splits = {name: list(data.load(name)) for name in ("forget", "retain", "full", "forget_examples", "test")}
    assert [p.id for p in splits["forget"]] == [f"{d}/{i}" for d in (8, 3) for i in range(4)]
    assert all(p.target is None for p in splits["forget"])
    assert {p.content for p in splits["forget_examples"]} == {8, 3}
    assert {p.content for p in splits["retain"]} == set(range(10)) - {8, 3}
    assert len(splits["retain"]) + len(splits["forget_examples"]) == len(splits["full"])
    assert len(splits["full"]) + len(splits["test"]) == 1797
    assert {p.content for p in splits["test"]} == set(range(10))


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    real = load_digits()
    got = Digits().load("full")[0]
    assert got.content == real.target[1], "the first row is held out"
    assert np.array(got.target) * 16 / 255 == pytest.approx(real.images[1], abs=0.04)


def test_fashion_reads_the_original_files_and_names_the_classes(fashion):
    full = fashion.load("full")
    assert [p.content for p in full[:10]] == list(FASHION)
    assert np.array(full[0].target).shape == (28, 28)
    assert {p.content for p in fashion.load("forget_examples")} == {"sneaker"}
    few = fashion.model_copy(update={"num_train": 15})
    assert [p.target for p in few.load("full")] == [p.target for p in full[:15]]
    assert len(fashion.provenance()) == 4


def test_fashion_that_is_not_there_says_where_to_get_it(tmp_path):
    with pytest.raises(CollapseError, match=r"dataset-fashion-mnist.*path:"):
        FashionMnist(path=str(tmp_path)).load("full")


def test_captions_are_read_without_opening_an_image_unless_asked(captions, tmp_path):
    assert [p.content for p in captions.load("retain")] == ["a dog", "a cat"]
    assert to_array(captions.load("retain")[1].target)[0, 0].tolist() == [1, 10, 200]
    (tmp_path / "dog.png").unlink()
    shown = captions.load("retain", targets=False)
    assert [p.columns for p in shown] == [{"artist": "Ada"}] * 2


ROW = '{"file_name": "dog.png", "text": "a dog"}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "metadata.jsonl: cannot be read: no such file"),
        ("", "holds no captions"),
        (ROW + '\n{"file_name": "cat.png", "te', r"metadata\.jsonl:2: is no JSON"),
        (ROW + '\n{"file_name": "cat.png", "text": null}\n', "jsonl:2: has no text under 'text'"),
        ('{"file_name": "cat.png", "text": " "}\n', "jsonl:1: has no text under 'text'"),
        ("[1]", "jsonl:1: has no text under 'file_name'"),
        (ROW + "\n\n" + ROW, "jsonl:3: the image 'dog.png' has a line already"),
        (
            '{"file_name": "c.png", "text": "a church"}',
            "jsonl:1: 'a church' is to be forgotten and cannot be",
        ),
    ],
)
def test_a_file_of_captions_is_read_whole_or_refused(text, said, tmp_path):
    if text is not None:
        (tmp_path / "metadata.jsonl").write_text(text)
    with pytest.raises(CollapseError, match=said):
        Captions(path=str(tmp_path), forget=["a church"]).load("retain", targets=False)


def test_nothing_is_to_be_forgotten_twice():
    with pytest.raises(ValidationError, match="'a church' is given twice"):
        Captions(path=".", forget=["a church", "a dog", "a church"])
    with pytest.raises(ValidationError, match="8 is given twice"):
        Digits(forget=[8, 8])


def test_classes_that_are_all_or_none_of_the_images_are_refused(fashion):
    with pytest.raises(CollapseError, match="'digits': all of the 1437 training images are of the classes"):
        Digits(use="digits", forget=list(range(10))).load("full")
    few = fashion.model_copy(update={"num_train": 5})
    with pytest.raises(CollapseError, match=r"none of the 5 .*, sneaker; there are coat \(1\), dress"):
        few.load("retain")


def opened(tmp_path, image, name="x.png", **options):
    image.save(tmp_path / name, **options)
    return np.asarray(open_image(tmp_path / name))


def test_sixteen_bits_become_eight(tmp_path):
    levels = np.array([[0, 257, 32896, 65535]], np.uint16)
    assert opened(tmp_path, Image.fromarray(levels))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_an_image_is_turned_as_its_camera_says(tmp_path):
    image, exif = Image.new("RGB", (6, 4), "red"), Image.Exif()
    image.putpixel((0, 0), (0, 0, 255))
    exif[0x0112] = 6
    turned = opened(tmp_path, image, exif=exif)
    assert turned.shape == (6, 4, 3)
    assert turned[0, 3].tolist() == [0, 0, 255]


def test_what_is_transparent_is_white(tmp_path):
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 0))
    image.putpixel((1, 0), (200, 0, 0, 255))
    assert opened(tmp_path, image)[0].tolist() == [[255, 255, 255], [200, 0, 0]]
    gray = Image.new("L", (2, 1), 7)
    gray.putpixel((1, 0), 9)
    assert opened(tmp_path, gray, transparency=7)[0].tolist() == [[255] * 3, [9] * 3]


def test_levels_of_no_known_range_and_files_that_are_no_image_are_refused(tmp_path):
    with pytest.raises(CollapseError, match=r"x\.tif: has levels of 32 bits \(mode F\)"):
        opened(tmp_path, Image.fromarray(np.ones((2, 2), np.float32)), "x.tif")
    (tmp_path / "y.png").write_text("no image")
    with pytest.raises(CollapseError, match=r"y\.png: is no image that Pillow knows"):
        open_image(tmp_path / "y.png")
    with pytest.raises(CollapseError, match=r"z\.png: cannot be read: No such file"):
        open_image(tmp_path / "z.png")


def test_a_folder_without_captions_is_refused(tmp_path):
    (tmp_path / "metadata.jsonl").write_text('{"text": "a dog"}\n')
    with pytest.raises(CollapseError, match="file_name"):
        Captions(path=str(tmp_path), forget=["x"]).load("retain")


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (5, 7, 3), (80, 70, 1)])
def test_an_image_survives_being_written_down(shape):
    image = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    content = to_content(image)
    assert isinstance(content, str) == (shape in [(5, 7, 3), (80, 70, 1)])
    assert not isinstance(content, str) or content.startswith(PNG)
    assert np.array_equal(to_array(json.loads(json.dumps(content))), image)


def test_levels_run_from_minus_one_to_one():
    assert to_tensor([[[0, 255]]]).flatten().tolist() == [-1, 1]
    assert to_contents(np.array([[[[-0.2], [0.5], [1.7]]]])) == [[[0, 128, 255]]]


@pytest.mark.parametrize(
    "content", ["a text", 3, [], [1, 2], [[0, 256]], [[-1]], {"a": 1}, [["x"]], [[0.0, 0.5]], [[1.0]]]
)
def test_what_is_no_image_is_refused(content):
    with pytest.raises(CollapseError, match="gray levels"):
        to_array(content)
