"""Captions to forget, and captioned images."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from annotated_types import Ge
from pydantic import Field, field_validator

from collapse_core import CollapseError, Prompt, PromptSet, errors
from collapse_diffusion.data.folder import ADVICE, Entry, entries, metadata_file, places, provenance_of
from collapse_diffusion.data.images import ImagesOnDisk, different

SPLITS = ("forget", "retain", "full")


class Captions(ImagesOnDisk):
    """Captions to forget, and captioned images to retain.

    Images are in what the datasets library calls an image folder: a folder of images with a
    metadata.jsonl, .csv or .parquet that has a row of `file_name` and `text` for each; or in Parquet files
    with the columns `image` and `text`. Other columns stay with the prompt.

    Splits: "forget", `num_draws` draws of each caption of `forget`; "retain" and "full", the images with
    their captions.
    """

    provides: ClassVar[str] = "caption-images"

    path: str
    """The folder, or a Parquet file."""
    forget: Annotated[list[str], Field(min_length=1, examples=[["a photo of a church"]])]
    """Captions that call for what is to be forgotten."""
    caption: str = "text"
    """The column of captions."""
    num_draws: Annotated[int, Ge(1)] = 8
    """How many images of each are asked for."""

    _different = field_validator("forget")(different)

    def splits(self) -> Sequence[str]:
        """Return what a folder of captioned images has."""
        return SPLITS

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """Load a split; without targets the captions alone, and no image is opened."""
        if split == "forget":
            return PromptSet(
                tuple(
                    Prompt(f"{caption}/{i}", caption)
                    for caption in self.forget
                    for i in range(self.num_draws)
                )
            )
        if split not in SPLITS:
            raise errors.no_split(self.use, split, SPLITS)
        return PromptSet(
            tuple(
                Prompt(
                    one.name, one.said, self.content_of(one.source) if targets else None, columns=one.others
                )
                for one in self._captions()
            )
        )

    def _captions(self) -> list[Entry]:
        """Return the images with their captions."""
        path = Path(os.path.expanduser(self.path))
        found_at = places(path).train
        if found_at == [path] and path.is_dir() and metadata_file(path) is None:
            advice = ADVICE.format(column=self.caption)
            raise CollapseError(f"{path / 'metadata.jsonl'}: cannot be read: no such file; {advice}")
        found = entries(found_at, self.caption, "captions")
        for one in found:
            if not isinstance(one.said, str):
                raise CollapseError(f"{one.where}: the caption is {one.said!r}, which is no text")
            if one.said in self.forget:
                raise CollapseError(f"{one.where}: '{one.said}' is to be forgotten and cannot be retained")
        return found

    def provenance(self) -> Mapping[str, object]:
        """Return the digest of the captions."""
        return provenance_of(Path(os.path.expanduser(self.path)))
