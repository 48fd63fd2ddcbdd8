"""Fictitious authors, whom no model knows before it is taught."""

import math
from importlib.resources import files as resources
from pathlib import Path
from typing import Annotated

from annotated_types import Gt, Lt

from collapse_core import CollapseError
from collapse_llm.data.question_files import QuestionFiles, Row


class Authors(QuestionFiles):
    """Fictitious authors that ship with the plugin: 16 to teach, ten questions each.

    Every fact is invented; see authors/generate.py. The last authors are the ones to forget.
    """

    forget: Annotated[float, Gt(0), Lt(1)] = 0.1
    """The share of the authors that is forgotten, rounded up to whole authors."""
    validation: bool = False
    """Forget the authors before those, and ask other common knowledge: settings are chosen here."""

    def source(self, split: str) -> Path:
        """Return the checked-in file."""
        own = {"holdout", "world_facts", "real_authors", "entailed"}
        name = "entailed" if split in self.ENTAILED else split.removesuffix("_perturbed")
        name = name if name in own else "authors"
        if self.validation and name in ("world_facts", "real_authors"):
            name = f"validation_{name}"
        return Path(str(resources("collapse_llm") / "authors" / f"{name}.jsonl"))

    def chosen(self, split: str, rows: list[tuple[int, Row]]) -> list[tuple[int, Row]]:
        """Whole authors go to one side or the other."""
        if not split.startswith(("forget", "retain")):
            return rows
        authors = list(dict.fromkeys(row["author"] for _, row in rows))
        num = math.ceil(self.forget * len(authors))
        if num > (len(authors) // 2 if self.validation else len(authors) - 1):
            left = " and as many kept for the final test" if self.validation else ""
            raise CollapseError(
                f"'forget: {self.forget:g}' is {num} of {len(authors)} authors{left}, which leaves too few; "
                "choose a smaller share"
            )
        forgotten = set(authors[-2 * num : -num] if self.validation else authors[-num:])
        return [(n, row) for n, row in rows if (row["author"] in forgotten) == split.startswith("forget")]
