"""How completions are drawn: graphs token by token, labels from their probabilities."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt

from collapse_core import Bound, Completion, Group, Iteration, Model, Prompt, Sampler


class DrawGraphs(Sampler):
    """Draw graphs under the prompts' conditions."""

    works_on: ClassVar[tuple[str, ...]] = ("graph-generator",)

    temperature: Annotated[float, Gt(0)] = 1.0
    """Logits are divided by it; higher is more varied."""
    batch_size: Annotated[int, Ge(1)] = 512
    """How many graphs are drawn at once."""

    def sample(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        num_completions: int,
        iteration: Iteration,
        bound: Bound | None = None,
    ) -> list[Group]:
        """Draw graphs; each has a random stream of its own, so batching changes nothing."""
        from collapse_graph.sampler.drawing import sample_graphs

        return sample_graphs(self, model, prompts, num_completions, iteration)


class DrawLabels(Sampler):
    """Draw labels of the nodes that the prompts ask for, with the probabilities that the classifier gives."""

    works_on: ClassVar[tuple[str, ...]] = ("node-classifier",)

    temperature: Annotated[float, Gt(0)] = 1.0
    """Logits are divided by it; a confident classifier needs a high temperature to draw other labels."""

    def sample(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        num_completions: int,
        iteration: Iteration,
        bound: Bound | None = None,
    ) -> list[Group]:
        """Draw labels; one pass over the graph serves all nodes."""
        from collapse_graph.sampler.labeling import sample_labels

        return sample_labels(self, model, prompts, num_completions, iteration)

    def sample_references(
        self, model: Model, prompts: Sequence[Prompt], iteration: Iteration
    ) -> list[Completion]:
        """Return the classifier's likeliest labels."""
        from collapse_graph.sampler.labeling import likeliest_labels

        return [Completion(label) for label in likeliest_labels(model, [p.content for p in prompts])]
