"""Images of a user: folders of classes, metadata, Parquet files; sizes and shapes; a run on them."""

import io
import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from collapse_core import CollapseError
from collapse_core.testing import check_dataset
from collapse_diffusion.data import Captions, ImageFolder
from collapse_diffusion.data.images import to_array, to_tensor
from collapse_diffusion.model import ClassDiffusion, TeachImages, Unet
from collapse_diffusion.model.drawing import Drawing

COLORS = {"cat": (200, 10, 10), "dog": (10, 200, 10), "owl": (10, 10, 200)}


def picture(name, number, size=(8, 8)):
    return Image.new("RGB", size, tuple(min(255, level + number) for level in COLORS[name]))


def png(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def write_folders(folder, sizes=((8, 8),)):
    for name in COLORS:
        (folder / name).mkdir(parents=True)
        for i in range(10):
            picture(name, i, sizes[i % len(sizes)]).save(folder / name / f"{i}.png")
    (folder / "notes.txt").write_text("no image")
    return folder


def rows():
    return [(name, i, f"{name}-{i}.png") for name in COLORS for i in range(10)]


def write_metadata(folder, ending, column="label"):
    folder.mkdir(exist_ok=True)
    for name, i, file in rows():
        picture(name, i).save(folder / file)
    table = [{"file_name": file, column: name, "artist": "Ada"} for name, _, file in rows()]
    if ending == "jsonl":
        text = "\n".join(map(json.dumps, table))
    elif ending == "csv":
        text = "\n".join([f"file_name,{column},artist", *(",".join(row.values()) for row in table)])
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table), folder / "metadata.parquet")
        return folder
    (folder / f"metadata.{ending}").write_text(text)
    return folder


def write_parquet(folder, column="label"):
    """Write shards as the datasets library does, classes as numbers with their names in the schema."""
    folder.mkdir(exist_ok=True)
    names = list(COLORS)
    features = {"info": {"features": {column: {"names": names, "_type": "ClassLabel"}}}}
    for split, numbers in (("train", range(8)), ("test", range(8, 10))):
        table = pyarrow.Table.from_pylist(
            [
                {"image": {"bytes": png(picture(name, i)), "path": None}, column: names.index(name)}
                for name in names
                for i in numbers
            ]
        ).replace_schema_metadata({"huggingface": json.dumps(features)})
        pyarrow.parquet.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    return folder


WRITERS = {
    "folders": write_folders,
    "jsonl": lambda folder: write_metadata(folder, "jsonl"),
    "csv": lambda folder: write_metadata(folder, "csv"),
    "metadata.parquet": lambda folder: write_metadata(folder, "parquet"),
    "parquet": write_parquet,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_every_format_of_classes_gives_the_same_images(writer, tmp_path):
    path = WRITERS[writer](tmp_path / "images")
    data = ImageFolder(use="image-folder", path=str(path), forget=["owl"], num_draws=2)
    check_dataset(data)
    full, test = data.load("full"), data.load("test")
    assert (len(full), len(test)) == (24, 6)
    assert {p.content for p in data.load("retain")} == {"cat", "dog"}
    seen = {(p.content, tuple(to_array(p.target)[3, 3].tolist())) for p in [*full, *test]}
    assert seen == {
        (name, tuple(min(255, c + i) for c in COLORS[name])) for name in COLORS for i in range(10)
    }
    assert data.provenance()


def test_folders_named_train_and_test_divide_the_images(tmp_path):
    write_folders(tmp_path / "train")
    (tmp_path / "test" / "cat").mkdir(parents=True)
    picture("cat", 30).save(tmp_path / "test" / "cat" / "a.png")
    data = ImageFolder(path=str(tmp_path), forget=["owl"])
    assert (len(data.load("full")), len(data.load("test"))) == (30, 1)


@pytest.mark.parametrize("writer", ["jsonl", "csv", "parquet"])
def test_captions_come_from_every_kind_of_metadata(writer, tmp_path):
    path = write_metadata(tmp_path / "images", writer, "caption")
    data = Captions(use="captions", path=str(path), forget=["a church"], caption="caption", size=4)
    check_dataset(data)
    first = data.load("retain")[0]
    assert (first.content, first.columns) == ("cat", {"artist": "Ada"})
    assert to_array(first.target).shape == (4, 4, 3)


def test_captioned_images_in_parquet_need_no_folder(tmp_path):
    table = [{"image": {"bytes": png(picture("cat", 1)), "path": "x"}, "text": "a cat"}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table), tmp_path / "all.parquet")
    data = Captions(use="captions", path=str(tmp_path / "all.parquet"), forget=["a church"])
    check_dataset(data)
    assert [(p.content, to_array(p.target)[0, 0].tolist()) for p in data.load("retain")] == [
        ("a cat", [201, 11, 11])
    ]


@pytest.mark.parametrize(
    ("fit", "left", "top"),
    [
        ("crop", [255, 0, 0], [255, 0, 0]),
        ("pad", [255, 0, 0], [255, 255, 255]),
        ("stretch", [0, 0, 255], [0, 0, 255]),
    ],
)
def test_an_oblong_image_is_cropped_padded_or_stretched(fit, left, top, tmp_path):
    """A wide image: blue on both sides, red in the middle."""
    wide = Image.new("RGB", (24, 8), "blue")
    wide.paste("red", (8, 0, 16, 8))
    (tmp_path / "a").mkdir()
    wide.save(tmp_path / "a" / "x.png")
    data = ImageFolder(path=str(tmp_path), forget=["a"], size=8 if fit != "pad" else 24, fit=fit)
    image = to_array(data.content_of(tmp_path / "a" / "x.png"))
    side = len(image)
    assert image.shape == (side, side, 3)
    assert image[side // 2, side // 2 if fit == "pad" else 0].tolist() == left
    assert image[0, 0].tolist() == top


def test_images_of_several_sizes_are_refused_with_the_key_that_helps_and_fine_with_it(tmp_path):
    path = str(write_folders(tmp_path / "images", sizes=[(8, 8), (9, 5)]))
    data = ImageFolder(path=path, forget=["owl"])
    with pytest.raises(
        CollapseError, match=r"8x8 pixels in color and 9x5 pixels in color; give the data set a 'size'"
    ):
        to_tensor([p.target for p in data.load("full")])
    gray = ImageFolder(path=path, forget=["owl"], size=(4, 6), color=False)
    assert to_tensor([p.target for p in gray.load("full")]).shape == (24, 1, 4, 6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "images: cannot be read: no such file or directory"),
        (lambda folder: folder.mkdir(), "images: holds no images of classes"),
        (lambda folder: write_folders(folder), r"none of the 24 .*, fox; there are cat \(8\), dog"),
        (lambda folder: write_metadata(folder, "csv", "kind"), r"metadata\.csv:2: has no text under 'label'"),
        (
            lambda folder: write_parquet(folder, "kind"),
            "needs the columns 'image' and 'label'; it has image, kind",
        ),
    ],
)
def test_a_folder_that_does_not_say_the_classes_is_refused(make, said, tmp_path):
    make(tmp_path / "images")
    with pytest.raises(CollapseError, match=said):
        ImageFolder(use="image-folder", path=str(tmp_path / "images"), forget=["fox"]).load("retain")


def test_oblong_images_are_taught_and_drawn_oblong_and_odd_ones_are_refused(tmp_path):
    path = str(write_folders(tmp_path / "images"))
    data = ImageFolder(use="image-folder", path=path, forget=["owl"], size=(4, 8))
    loader = ClassDiffusion(
        unet=Unet(channels=[8, 8]), timesteps=10, teach=TeachImages(steps=2, batch_size=4), device="cpu"
    )
    model = loader.load(data, 0)
    assert model.draw(["owl", "cat"], [0, 1], Drawing(steps=2)).shape == (2, 4, 8, 3)
    assert model.draw(["owl"], [0], Drawing(steps=2, guidance=2)).shape == (1, 4, 8, 3)
    assert np.isfinite(model.draw(["dog"], [0], Drawing(steps=2))).all()
    with pytest.raises(CollapseError, match=r"images of 8x5 pixels cannot be halved 1 times"):
        loader.load(data.model_copy(update={"size": (5, 8)}), 0)
