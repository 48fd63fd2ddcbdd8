"""Images with classes: scikit-learn's digits, and Fashion-MNIST."""

import gzip
import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge
from pydantic import Field, field_validator

from collapse_core import CollapseError, Content, Prompt, PromptSet, environment, errors
from collapse_diffusion.data.images import Images, different

SPLITS = ("forget", "retain", "full", "forget_examples", "test")
Labeled = tuple[Content, Any]
"""A class, and an image of it: an array of gray levels of shape (height, width), or what `content` takes."""

FASHION = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
Fashion = Literal[
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"
]


class LabeledImages(Images):
    """Images of classes; a forget prompt is one draw of a class, a retain prompt a real image with its class.

    Splits: "forget", `num_draws` draws of each forgotten class, which have no true answer; "retain", the
    training images of the other classes; "full", all training images; "forget_examples", those of the
    forgotten classes; "test", held-out images of all classes.
    """

    num_draws: Annotated[int, Ge(1)] = 48
    """How many images of each forgotten class are asked for."""

    _different = field_validator("forget", check_fields=False)(different)

    @property
    @abstractmethod
    def forgotten(self) -> Sequence[Content]:
        """The classes to forget."""

    @abstractmethod
    def examples(self, *, test: bool) -> Sequence[Labeled]:
        """Return the training images or the held-out ones, with their classes."""

    def content(self, image: Any) -> Content:
        """Write an image of `examples` down."""
        return image.tolist()

    def splits(self) -> Sequence[str]:
        """All splits."""
        return SPLITS

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """Load a split; without targets the classes alone."""
        if split not in SPLITS:
            raise errors.no_split(self.use, split, SPLITS)
        if split == "forget":
            return PromptSet(
                tuple(Prompt(f"{name}/{i}", name) for name in self.forgotten for i in range(self.num_draws))
            )
        examples = self.examples(test=split == "test")
        if split != "test":
            self._check_classes([name for name, _ in examples])
        return PromptSet(
            tuple(
                Prompt(f"{split}/{i}", name, self.content(image) if targets else None)
                for i, (name, image) in enumerate(examples)
                if split in ("full", "test") or (name in self.forgotten) == (split == "forget_examples")
            )
        )

    def _check_classes(self, names: Sequence[Content]) -> None:
        """Refuse to forget classes that no training image has, or that all have."""
        num = sum(name in self.forgotten for name in names)
        if num in (0, len(names)):
            found = ", ".join(f"{name} ({count})" for name, count in sorted(Counter(names).items()))
            asked = ", ".join(map(str, self.forgotten))
            raise CollapseError(
                f"the data set '{self.use}': {'all' if num else 'none'} of the {len(names)} training images "
                f"are of the classes to forget, {asked}; there are {found or 'none'}"
            )


class Digits(LabeledImages):
    """Scikit-learn's 1,797 handwritten digits of 8x8 pixels (Alpaydin and Kaynak 1998); classes are 0 to 9.

    Every fifth image is held out for "test". The levels 0 to 16 are spread over 0 to 255.
    """

    provides: ClassVar[str] = "class-images"

    forget: Annotated[list[Annotated[int, Field(ge=0, le=9)]], Field(min_length=1)] = [8]
    """The digits to forget."""

    @property
    def forgotten(self) -> Sequence[int]:
        """The digits to forget."""
        return self.forget

    def examples(self, *, test: bool) -> Sequence[Labeled]:
        """Four fifths for training, one for testing, in the order of the original file."""
        import numpy as np
        from sklearn.datasets import load_digits

        bunch = load_digits()
        images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
        return [
            (int(label), image)
            for i, (label, image) in enumerate(zip(bunch.target, images, strict=True))
            if (i % 5 == 0) == test
        ]

    def provenance(self) -> Mapping[str, object]:
        """Return the release that the images came with."""
        from importlib.metadata import version

        return {"digits": f"scikit-learn {version('scikit-learn')}"}


class FashionMnist(LabeledImages):
    """Fashion-MNIST (Xiao et al. 2017): 28x28 pixels, ten classes of clothing, 60,000 + 10,000 images.

    Read from the four gzipped idx files of the original distribution (the Debian package
    dataset-fashion-mnist installs them), or from the hub (dataset zalando-datasets/fashion_mnist).
    """

    provides: ClassVar[str] = "class-images"

    forget: Annotated[list[Fashion], Field(min_length=1)] = ["sneaker"]
    """The classes to forget."""
    path: str | None = "/usr/share/datasets/fashion-mnist"
    """The directory of the idx files; null fetches the images from the hub."""
    revision: str = "main"
    """The revision on the hub."""
    num_train: Annotated[int, Ge(1)] = 60_000
    """How many training images are taken, from the first."""
    num_test: Annotated[int, Ge(1)] = 10_000
    """How many test images are taken, from the first."""

    @property
    def forgotten(self) -> Sequence[str]:
        """The classes to forget."""
        return self.forget

    def examples(self, *, test: bool) -> Sequence[Labeled]:
        """Return the original split into training and test images."""
        if self.path is None:
            images, labels = _from_hub(self.revision, "test" if test else "train")
        else:
            images, labels = (_read_idx(file) for file in self._files(test=test))
        num = self.num_test if test else self.num_train
        return [(FASHION[label], image) for label, image in zip(labels[:num], images[:num], strict=True)]

    def _files(self, *, test: bool) -> list[Path]:
        stem = "t10k" if test else "train"
        return [
            Path(os.path.expanduser(self.path or "")) / f"{stem}-{kind}-ubyte.gz"
            for kind in ("images-idx3", "labels-idx1")
        ]

    def provenance(self) -> Mapping[str, object]:
        """Return digests of local files; the revision of the hub's."""
        if self.path is None:
            return {"hub": "zalando-datasets/fashion_mnist", "revision": self.revision}
        files = [*self._files(test=False), *self._files(test=True)]
        return {file.name: environment.file_digest(file) for file in files if file.exists()}


def _read_idx(path: Path) -> Any:
    """Read an array of unsigned bytes in the idx format (LeCun): zeros, type, rank, sizes, then the data."""
    import numpy as np

    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise CollapseError(
            f"{path} cannot be read ({error}); install the Debian package dataset-fashion-mnist, "
            "or write 'path: <the directory of the idx files>' under data:"
        ) from None
    rank = data[3]
    shape = np.frombuffer(data, ">i4", rank, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def _from_hub(revision: str, split: str) -> tuple[Any, Any]:
    import io

    import numpy as np
    from PIL import Image

    try:
        import pandas as pd
        from huggingface_hub import hf_hub_download

        name = f"fashion_mnist/{split}-00000-of-00001.parquet"
        frame = pd.read_parquet(
            hf_hub_download("zalando-datasets/fashion_mnist", name, repo_type="dataset", revision=revision)
        )
    except Exception as error:
        advice = "data: {use: fashion-mnist, path: <directory>}"
        raise errors.not_fetched("zalando-datasets/fashion_mnist", error, advice) from None
    images = np.stack([np.asarray(Image.open(io.BytesIO(cell["bytes"]))) for cell in frame["image"]])
    return images, frame["label"].to_numpy()
