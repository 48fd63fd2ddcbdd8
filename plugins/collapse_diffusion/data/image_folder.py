"""Images of a user, with classes."""

import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Lt
from pydantic import Field, field_validator

from collapse_core import Content, derive_seed
from collapse_diffusion.data.classes import Labeled, LabeledImages
from collapse_diffusion.data.folder import entries, places, provenance_of
from collapse_diffusion.data.images import ImagesOnDisk


class ImageFolder(LabeledImages, ImagesOnDisk):
    """Images with classes: a folder per class, a folder with metadata, or Parquet files.

    As the datasets library has it: the name of a folder is the class of its images; or a metadata.jsonl, .csv
    or .parquet says `file_name` and `label` for each; or Parquet files have the columns `image` and `label`.
    Folders or files named train and test divide them, else a share of each class is held out. Classes are
    texts.
    """

    provides: ClassVar[str] = "class-images"

    path: str = Field(examples=["photos"])
    """The folder, or a Parquet file, relative to where the command is given."""
    forget: Annotated[list[str], Field(min_length=1, examples=[["church"]])]
    """The classes to forget."""
    label: str = "label"
    """The column of classes, where there are columns."""
    test_share: Annotated[float, Gt(0), Lt(1)] = 0.2
    """The share of the images of each class that is held out, where the folder does not divide them."""
    split_seed: Annotated[int, Ge(0)] = 0
    """The seed of that division."""

    @field_validator("forget", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        """Take numbers for the texts that classes are."""
        is_list = isinstance(value, list)
        return [str(one) if isinstance(one, int) else one for one in value] if is_list else value

    @property
    def forgotten(self) -> Sequence[str]:
        """The classes to forget."""
        return self.forget

    def examples(self, *, test: bool) -> Sequence[Labeled]:
        """Return the classes and the images, not opened yet."""
        found = places(Path(os.path.expanduser(self.path)))
        if found.test is not None:
            chosen = entries(found.test if test else found.train, self.label, "images")
            return [(str(one.said), one.source) for one in chosen]
        every = entries(found.train, self.label, "images of classes")
        held_out: set[str] = set()
        for name in sorted({str(one.said) for one in every}):
            of_it = [one.name for one in every if str(one.said) == name]
            source = random.Random(derive_seed(self.split_seed, "test", name))
            held_out |= set(source.sample(of_it, round(self.test_share * len(of_it))))
        return [(str(one.said), one.source) for one in every if (one.name in held_out) == test]

    def content(self, image: Any) -> Content:
        """Open an image."""
        return self.content_of(image)

    def provenance(self) -> Mapping[str, object]:
        """Return digests of the files that say the classes, or of the folders' listings."""
        return provenance_of(Path(os.path.expanduser(self.path)))
