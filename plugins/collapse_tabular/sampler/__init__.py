"""How rows are drawn from the model."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Lt

from collapse_core import Bound, Completion, Group, Iteration, Model, Prompt, Sampler


class DrawRows(Sampler):
    """Draw rows by removing noise step by step, each row from noise of its own."""

    works_on: ClassVar[tuple[str, ...]] = ("row-diffusion",)

    steps: Annotated[int, Ge(1)] | None = None
    """In how many steps the noise is removed; by default as many as the model has levels."""
    temperature: Annotated[float, Gt(0)] = 1.0
    """What the noise is multiplied by; above 1 draws are more varied, and fit less."""
    condition_dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    """How often each column of a prompt is left out for a candidate: it then answers more freely."""
    paired_references: bool = False
    """Also draw a row of the reference model from the same noise."""
    batch_size: Annotated[int, Ge(1)] = 4096
    """How many rows are drawn at once."""

    def sample(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        num_completions: int,
        iteration: Iteration,
        bound: Bound | None = None,
    ) -> list[Group]:
        """Draw rows; each has a random stream of its own, so batching changes nothing."""
        from collapse_tabular.sampler.drawing import sample_rows

        return sample_rows(self, model, prompts, num_completions, iteration)

    def sample_references(
        self, model: Model, prompts: Sequence[Prompt], iteration: Iteration
    ) -> list[Completion]:
        """Return one draw per prompt, under the whole prompt: the reference model's own rows."""
        plain = self.model_copy(update={"condition_dropout": 0.0, "paired_references": False})
        return [group.completions[0] for group in plain.sample(model, prompts, 1, iteration)]
