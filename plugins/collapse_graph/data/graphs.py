"""What data sets of graphs have in common: a condition that every graph can be tested for, exactly."""

import random
from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import Annotated, ClassVar, NamedTuple

from annotated_types import Ge, Gt, Lt

from collapse_core import CollapseError, Dataset, Prompt, PromptSet, Sketch, derive_seed, errors
from collapse_graph.data.content import Graph


class Example(NamedTuple):
    """A real graph, with the condition that it fulfills."""

    name: str
    condition: str
    graph: Graph


class GraphDataset(Dataset):
    """Real graphs, each under one condition; the prompt is the condition, the answer a graph.

    Splits: "forget", the draws to be made of the condition to forget; "retain", the training graphs of all
    other conditions; "full", all training graphs; "test", graphs of all conditions that are never trained on;
    "forget_examples", the training graphs of the condition to forget.
    """

    SPLITS: ClassVar[tuple[str, ...]] = ("forget", "retain", "full", "test", "forget_examples")

    num_draws: Annotated[int, Ge(1)] = 128
    """How many graphs are drawn of the condition to forget; the size of the forget set."""
    test_share: Annotated[float, Gt(0), Lt(1)] = 0.2
    """The share of the real graphs of each condition that is held out."""
    split_seed: Annotated[int, Ge(0)] = 0
    """The seed of the division; the draws of a run follow the seed of the run."""

    @property
    @abstractmethod
    def forgotten(self) -> str:
        """The condition to forget."""

    @abstractmethod
    def examples(self) -> Sequence[Example]:
        """Return every real graph."""

    @abstractmethod
    def condition(self, graph: Graph) -> str:
        """Return the condition that a graph fulfills, exactly; any text for a graph that is not valid."""

    @abstractmethod
    def is_valid(self, graph: Graph) -> bool:
        """Return whether a graph is valid at all, under any condition."""

    @abstractmethod
    def identities(self, graphs: Sequence[Graph]) -> list[Hashable]:
        """Return a key for each graph; two of one sequence share it if and only if they are the same."""

    def splits(self) -> Sequence[str]:
        """All splits; they are divided from one source."""
        return self.SPLITS

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """Load a split; the draws of "forget" have no true answer."""
        if split not in self.SPLITS:
            raise errors.no_split(self.use, split, self.SPLITS)
        if split == "forget":
            return PromptSet(
                tuple(Prompt(f"{self.forgotten}/{i}", self.forgotten) for i in range(self.num_draws))
            )
        examples = self.examples()
        held_out = self._held_out(examples)
        if split != "test":
            self._check_forgotten([example for example in examples if example.name not in held_out])
        return PromptSet(
            tuple(
                Prompt(example.name, example.condition, example.graph if targets else None)
                for example in examples
                if (example.name in held_out) == (split == "test")
                and split in ("test", "full", "forget_examples" if self._is_forgotten(example) else "retain")
            )
        )

    def picture(self, content: Graph) -> Sketch | None:
        """Return the graph, laid out by its shortest paths."""
        from collapse_graph.data.layout import sketch

        return sketch(content)

    def _is_forgotten(self, example: Example) -> bool:
        return example.condition == self.forgotten

    def _check_forgotten(self, training: Sequence[Example]) -> None:
        """Refuse a condition that no training graph fulfills, or that all do."""
        num = sum(map(self._is_forgotten, training))
        if num in (0, len(training)):
            which = "all" if num else "none"
            raise CollapseError(
                f"the data set '{self.use}': {which} of the {len(training)} training graphs are "
                f"'{self.forgotten}', so there is nothing to {'retain' if num else 'forget'}"
            )

    def _held_out(self, examples: Sequence[Example]) -> set[str]:
        """Return the names of the examples that are never trained on: the same share of each condition."""
        chosen: set[str] = set()
        for condition in sorted({example.condition for example in examples}):
            names = [example.name for example in examples if example.condition == condition]
            source = random.Random(derive_seed(self.split_seed, "test", condition))
            chosen |= set(source.sample(names, round(self.test_share * len(names))))
        return chosen
