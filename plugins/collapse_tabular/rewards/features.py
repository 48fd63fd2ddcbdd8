"""Where rows lie in a space in which distances mean something."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import PrivateAttr

from collapse_core import CollapseError, Content, Dataset, Features

if TYPE_CHECKING:
    from collapse_tabular.data.vectors import Vectors


class RowFeatures(Features):
    """Numbers standardized by the retain rows; a category is a one-hot vector, divided by sqrt(2).

    Two rows that differ in one category are at distance one, as those that differ by one standard deviation.
    """

    works_on: ClassVar[tuple[str, ...]] = ("rows",)

    _vectors: "Vectors | None" = PrivateAttr(default=None)

    def prepare(self, data: Dataset) -> None:
        """Learn means and deviations from the retain rows, and from no other."""
        from collapse_tabular.data.vectors import Vectors

        self._vectors = Vectors.fit([prompt.target for prompt in data.load("retain")])

    def extract(self, contents: Sequence[Content]) -> Sequence[Sequence[float]]:
        """Return the vector of each row, an array of shape (len(contents), width)."""
        if self._vectors is None:
            raise CollapseError("'row-features' has not been prepared: it learns its scales from the data")
        return cast(Sequence[Sequence[float]], self._vectors.of(contents))
