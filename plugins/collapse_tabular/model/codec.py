"""From rows and prompts to tensors and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from collapse_core import CollapseError, Prompt
from collapse_tabular.model.columns import Categorical, Column, Numeric, fit_columns, from_json, to_json

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Codec:
    """What the columns of rows are, and what prompts can say.

    A row is numbers first, then the one-hot vectors of its categories, times `scale`. A prompt is an index
    for each column that it can say; 0 is a column left out.
    """

    columns: tuple[Column, ...]
    """The columns that are drawn, in the order of the rows."""
    said: tuple[Categorical, ...]
    """The columns that a prompt can say."""
    scale: float
    """The length of a one-hot vector."""

    @classmethod
    def fit(cls, taught: Sequence[Prompt], asked: Sequence[Prompt], scale: float) -> "Codec":
        """Learn columns from rows to teach, and what can be said from them and further prompts."""
        if not taught:
            raise CollapseError("there are no rows to teach a model of rows with")
        contents = [prompt.content for prompt in (*taught, *asked)]
        said = {name: tuple(sorted({content[name] for content in contents}, key=str)) for name in contents[0]}
        columns = fit_columns([prompt.target for prompt in taught])
        return cls(tuple(columns), tuple(Categorical(name, values) for name, values in said.items()), scale)

    @cached_property
    def numeric(self) -> tuple[Numeric, ...]:
        """The columns of numbers."""
        return tuple(column for column in self.columns if isinstance(column, Numeric))

    @cached_property
    def categorical(self) -> tuple[Categorical, ...]:
        """The columns of categories."""
        return tuple(column for column in self.columns if isinstance(column, Categorical))

    @property
    def widths(self) -> list[int]:
        """How many categories each column of categories has."""
        return [column.width for column in self.categorical]

    @property
    def width(self) -> int:
        """How many numbers a row takes."""
        return len(self.numeric) + sum(self.widths)

    def encode(self, rows: Sequence[Row], *, with_unknown: bool = False) -> torch.Tensor:
        """Return rows as float32, shape (len(rows), width).

        Args:
            rows: What is encoded.
            with_unknown: Whether a category that is not known is the zero vector, not an error.

        Raises:
            CollapseError: A category is not known.
        """
        pieces = [torch.from_numpy(c.encode([row[c.name] for row in rows]))[:, None] for c in self.numeric]
        for column in self.categorical:
            values = [row[column.name] for row in rows]
            at = torch.tensor(column.places(values, unknown=column.width if with_unknown else None))
            pieces.append(torch.nn.functional.one_hot(at, column.width + 1)[:, :-1] * self.scale)
        return torch.cat([piece.float() for piece in pieces], dim=1)

    def known(self, content: Row) -> dict[str, Any]:
        """Return what the model understands of a prompt: a value that is not known is left out."""
        values = {column.name: column.values for column in self.said}
        return {name: value for name, value in content.items() if value in values.get(name, ())}

    def has_unknown(self, row: Row) -> bool:
        """Return whether a row has a category that is not known."""
        return any(row[column.name] not in column.values for column in self.categorical)

    def decode(self, numbers: torch.Tensor, places: torch.Tensor) -> list[dict[str, Any]]:
        """Decode codes, shape (n, number of numeric columns), and indices, (n, number of categorical)."""
        found: dict[str, Sequence[Any]] = {
            column.name: column.decode(codes.astype(np.float64))
            for column, codes in zip(self.numeric, numbers.T.numpy(), strict=True)
        }
        for column, at in zip(self.categorical, places.T.tolist(), strict=True):
            found[column.name] = [column.values[place] for place in at]
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in zip(*(found[n] for n in names), strict=True)]

    def prompts(self, contents: Sequence[Row]) -> torch.Tensor:
        """Return what prompts say, shape (len(contents), number of columns that can be said).

        Raises:
            CollapseError: One says a column, or a value, that the model does not know.
        """
        names = [column.name for column in self.said]
        for content in contents:
            if unknown := [name for name in content if name not in names]:
                raise CollapseError(
                    f"a prompt says the column '{unknown[0]}'; this model understands {', '.join(names)}"
                )
        indices = [
            [1 + column.places([c[column.name]])[0] if column.name in c else 0 for column in self.said]
            for c in contents
        ]
        return torch.tensor(indices, dtype=torch.long).reshape(len(contents), len(names))

    def to_json(self) -> dict[str, Any]:
        """Plain data from which `from_json` makes the same codec."""
        return {
            "columns": [to_json(column) for column in self.columns],
            "said": [to_json(column) for column in self.said],
            "scale": self.scale,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Codec":
        """Return the codec that `to_json` wrote."""
        said = tuple(from_json(column) for column in saved["said"])
        return cls(
            tuple(from_json(column) for column in saved["columns"]),
            tuple(column for column in said if isinstance(column, Categorical)),
            saved["scale"],
        )
