"""Captions to forget, and a folder of captioned images."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from pydantic import Field, field_validator

from collapse_core import CollapseError, Content, Prompt, PromptSet, environment, errors
from collapse_diffusion.data.images import Images, different, open_image, to_content

ADVICE = 'it needs a line {"file_name": ..., "text": ...} for each image of the folder'
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
                Prompt(name, caption, self._image(name) if targets else None, columns=others)
                for name, caption, others in self._captions()
            )
        )

    def _captions(self) -> list[tuple[str, str, Mapping[str, Any]]]:
        """Return for each image its name, its caption, and the row's other columns."""
        file = Path(self.path).expanduser() / "metadata.jsonl"
        try:
            lines = file.read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeError) as error:
            raise CollapseError(f"{file}: {errors.cannot_be_read(error)}; {ADVICE}") from None
        rows = [(number, _row(file, number, line)) for number, line in enumerate(lines, 1) if line.strip()]
        if not rows:
            raise CollapseError(f"{file}: holds no captions; {ADVICE}")
        names: set[str] = set()
        for number, (name, caption, _) in rows:
            if name in names:
                raise errors.bad_row(file, number, f"the image '{name}' has a line already")
            if caption in self.forget:
                raise errors.bad_row(file, number, f"'{caption}' is to be forgotten and cannot be retained")
            names.add(name)
        return [row for _, row in rows]

    def _image(self, name: str) -> Content:
        import numpy as np

        return to_content(np.asarray(open_image(Path(self.path).expanduser() / name)))

    def provenance(self) -> Mapping[str, object]:
        """Return the digest of the captions."""
        file = Path(self.path).expanduser() / "metadata.jsonl"
        return {file.name: environment.file_digest(file)} if file.exists() else {}


def _row(file: Path, number: int, line: str) -> tuple[str, str, Mapping[str, Any]]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise errors.bad_row(file, number, f"is no JSON ({error}); {ADVICE}") from None
    for key in ("file_name", "text"):
        if not isinstance(row, dict) or not isinstance(row.get(key), str) or not row[key].strip():
            raise errors.bad_row(file, number, f"has no text under '{key}'; {ADVICE}")
    return row["file_name"], row["text"], {k: row[k] for k in row if k not in ("file_name", "text")}
