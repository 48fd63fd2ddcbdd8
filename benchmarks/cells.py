"""What is measured: cells, columns, and where each result is written. Imports nothing heavy."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from collapse_core import CollapseError, files

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "runs" / "bench"

MODELS = ("smollm2", "small-llama", "tiny-llama")
"""The last is for tests and first tries; it is measured only when it is asked for."""
COLUMNS = ("reference", "ours", "ours-auto", "trl")
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True, order=True)
class Cell:
    """One iteration's size."""

    model: str
    num_questions: int
    num_completions: int

    @classmethod
    def parse(cls, text: str) -> "Cell":
        """Read "smollm2:40:20": the model, the number of questions, the completions of each."""
        model, *numbers = text.split(":")
        if model not in MODELS or len(numbers) != 2 or not all(n.isdigit() and int(n) for n in numbers):
            raise CollapseError(
                f"'{text}' is no cell; write MODEL:QUESTIONS:COMPLETIONS, with a model of {', '.join(MODELS)}"
            )
        return cls(model, int(numbers[0]), int(numbers[1]))


CELLS = tuple(Cell(model, questions, n) for model in MODELS[:2] for questions in (40, 200) for n in (5, 20))


@dataclass(frozen=True)
class Job:
    """What one process measures: a column of a cell."""

    cell: Cell
    column: str
    dtype: str
    batch_size: int
    """Questions in a training batch, and in one call of `generate`."""

    @property
    def compute(self) -> str:
        """The precision that is asked for; the column "ours-auto" leaves it to the hardware."""
        return "auto" if self.column == "ours-auto" else self.dtype

    @property
    def name(self) -> str:
        """What the result is called."""
        cell = self.cell
        return "-".join([cell.model, f"q{cell.num_questions}", f"n{cell.num_completions}", *self._conditions])

    @property
    def update_name(self) -> str:
        """What the update is called, which does not depend on the number of completions."""
        return "-".join([self.cell.model, f"q{self.cell.num_questions}", "update", *self._conditions])

    @property
    def _conditions(self) -> list[str]:
        return [self.column, self.compute, f"b{self.batch_size}"]

    def to_json(self) -> str:
        """The job as a process gets it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: str | Mapping[str, Any]) -> "Job":
        """What `to_json` wrote."""
        fields = dict(json.loads(data) if isinstance(data, str) else data)
        return cls(Cell(**fields.pop("cell")), **fields)


def jobs(cells: Sequence[Cell], columns: Sequence[str], dtype: str, batch_size: int) -> list[Job]:
    """Every column of every cell; of equal questions, the fewest completions first."""
    return [Job(cell, column, dtype, batch_size) for cell in sorted(cells) for column in columns]


def write_result(folder: Path, name: str, result: Mapping[str, Any]) -> None:
    """Write a result whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / f"{name}.json", result)


def read_results(folder: Path, kind: str) -> Iterator[dict[str, Any]]:
    """The results of a kind: "iteration", "update", "rates", "profile"."""
    for path in sorted(folder.glob("*.json")):
        result = files.read_json(path)
        if result.get("kind") == kind:
            yield result
