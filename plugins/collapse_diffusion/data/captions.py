"""Captions to forget, and a folder of captioned images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from pydantic import Field

from collapse_core import CollapseError, Content, Prompt, PromptSet, environment, errors, files
from collapse_diffusion.data.images import Images, to_content

SPLITS = ("forget", "retain", "full")


class Captions(Images):
    """Captions to forget, and a folder of captioned images to retain.

    The folder is what the datasets library calls an image folder: images, and a metadata.jsonl with a
    line {"file_name": ..., "text": ...} for each; its other columns stay with the prompt. Splits:
    "forget", `num_draws` draws of each caption of `forget`; "retain" and "full", the images with their
    captions.
    """

    provides: ClassVar[str] = "caption-images"

    path: str
    """The folder."""
    forget: Annotated[list[str], Field(min_length=1, examples=[["a photo of a church"]])]
    """Captions that call for what is to be forgotten."""
    num_draws: Annotated[int, Ge(1)] = 8
    """How many images of each are asked for."""

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
                Prompt(name, caption, self._image(name) if targets else None, columns=others)
                for name, caption, others in self._captions()
            )
        )

    def _captions(self) -> list[tuple[str, str, Mapping[str, Any]]]:
        """Return for each image its name, its caption, and the row's other columns."""
        file = Path(self.path).expanduser() / "metadata.jsonl"
        try:
            rows = files.read_lines(file)
            return [
                (row["file_name"], row["text"], {k: row[k] for k in row if k not in ("file_name", "text")})
                for row in rows
            ]
        except (OSError, KeyError, ValueError) as error:
            raise CollapseError(
                f"{file} cannot be read ({type(error).__name__}: {error}); it needs a line "
                '{"file_name": ..., "text": ...} for each image of the folder'
            ) from None

    def _image(self, name: str) -> Content:
        import numpy as np
        from PIL import Image

        with Image.open(Path(self.path).expanduser() / name) as image:
            return to_content(np.asarray(image.convert("RGB")))

    def provenance(self) -> Mapping[str, object]:
        """Return the digest of the captions."""
        file = Path(self.path).expanduser() / "metadata.jsonl"
        return {file.name: environment.file_digest(file)} if file.exists() else {}
