"""What is measured of a model of rows: forgetting, quality, privacy, shares."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt

from collapse_core import Dataset, Evaluation, Evaluator, Model


class _Drawing(Evaluator):
    """An evaluator that draws rows."""

    num_rows: Annotated[int, Ge(1)] = 1000
    """How many rows are drawn for each measure."""
    steps: Annotated[int, Ge(1)] | None = None
    """In how many steps the noise is removed; by default as many as the model has levels."""


class TableForgetting(_Drawing):
    """How often a forget prompt still draws the subgroup, and what it draws instead.

    A row counts by its own columns where it draws all that a prompt says; else by a random forest that has
    learned from all real rows, held-out ones included, which prompt a row answers. Cost: 2 `num_rows` drawn
    rows; the forest is grown once.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "forgotten_share": (
            "percentage of rows drawn for the forget prompts that still belong to the subgroup"
        ),
        "unasked_share": "percentage of rows of the subgroup where nothing is asked for",
        "forget_diversity": (
            "how different rows for forget prompts are from each other, relative to real retained rows"
        ),
        "goes_to_*": "percentage of rows for forget prompts that are taken for this prompt's",
        "judge_accuracy": "how often the judge of rows is right, in percent",
    }
    works_on: ClassVar[tuple[str, ...]] = ("row-diffusion",)

    reads: ClassVar[tuple[str, ...]] = ("retain", "full", "test", "forget_examples")
    known_from: ClassVar[tuple[str, float] | None] = ("forgotten_share", 50.0)

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Draw rows for forget prompts, and for the prompt that says nothing."""
        from collapse_tabular.evaluators.forgetting import measure_forgetting

        return measure_forgetting(self, model, data, seed)


class TableQuality(_Drawing):
    """How well the rows of retained prompts keep to their prompt, their columns, and their use.

    Cost: 2 `num_rows` drawn rows, more where there are many different prompts, and classifiers on these.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "retained_accuracy": "percentage of rows that are taken for their own, retained prompt's",
        "worst_prompt_accuracy": "the same for the prompt where it is lowest",
        "marginals": "how alike each column of drawn rows is to that of real ones, from 0 to 100",
        "marginals_floor": "the same for real held-out rows",
        "trained_on_drawn": (
            "accuracy on real rows, in percent, of a classifier that was trained on drawn ones"
        ),
        "trained_on_real": "the same of one that was trained on real ones",
    }
    works_on: ClassVar[tuple[str, ...]] = ("row-diffusion",)

    reads: ClassVar[tuple[str, ...]] = ("retain", "full", "test", "forget_examples")

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Draw rows for retained prompts, and compare them with real ones."""
        from collapse_tabular.evaluators.quality import measure_quality

        return measure_quality(self, model, data, seed)


class TablePrivacy(_Drawing):
    """Whether drawn rows copy training rows, and how well attacks find forgotten rows that were taught.

    Cost: 2 `num_rows` drawn rows, and some forward passes for each real row of the subgroup.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "closest_record": "median distance of drawn rows to the closest training row",
        "closest_record_real": "the same for real held-out rows",
        "closer_to_taught": (
            "percentage of drawn rows closer to training rows than to held-out ones; 50 where "
            "nothing is copied"
        ),
        "membership_by_distance": (
            "how well distances to drawn rows give away which rows of the subgroup were taught: 50 "
            "is chance, 100 finds all"
        ),
        "membership_by_loss": "the same by the model's loss of the row",
    }
    attacks: ClassVar[bool] = True
    works_on: ClassVar[tuple[str, ...]] = ("row-diffusion",)

    reads: ClassVar[tuple[str, ...]] = ("retain", "full", "test", "forget_examples")

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Draw rows, and measure the distances to the closest records."""
        from collapse_tabular.evaluators.privacy import measure_privacy

        return measure_privacy(self, model, data, seed)


class TableRelearning(_Drawing):
    """How soon a copy of the model draws the subgroup again, once real rows of it are taught.

    The copy is trained with AdamW at a constant rate on the subgroup's training rows alone. A model that
    relearns sooner than one that was never trained on it has kept something. Cost: as many training steps as
    the last of `after`, and `num_rows` drawn rows for each number of steps.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "relearned_after_*": (
            "percentage of rows of the subgroup, after so many steps of training a copy on it"
        ),
        "rows_it_cannot_draw": (
            "percentage of the subgroup's rows with a value that the model does not know and cannot draw"
        ),
    }
    attacks: ClassVar[bool] = True
    works_on: ClassVar[tuple[str, ...]] = ("row-diffusion",)

    reads: ClassVar[tuple[str, ...]] = ("retain", "full", "test", "forget_examples")

    after: list[Annotated[int, Ge(1)]] = [5, 10, 20, 40, 80]
    """After how many steps the copy is asked."""
    learning_rate: Annotated[float, Gt(0)] = 5e-4
    """The rate of AdamW."""
    batch_size: Annotated[int, Ge(1)] = 128
    """Rows per step, drawn with replacement."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Train a copy, asking it now and then."""
        from collapse_tabular.evaluators.relearning import measure_relearning

        return measure_relearning(self, model, data, seed)


class TableShares(_Drawing):
    """Of rows for the prompt that says nothing: the share of each value of the label, and their variety.

    The label must be a column that is drawn. What both are in theory is in docs/science.md. Cost: `num_rows`
    drawn rows.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "share_*": "percentage of rows with this value of the label, where nothing is asked for",
        "variety": "variance of drawn rows relative to that of training rows",
    }
    works_on: ClassVar[tuple[str, ...]] = ("row-diffusion",)

    reads: ClassVar[tuple[str, ...]] = ("full",)

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Draw rows, count labels, and compare variances with those of the training rows."""
        from collapse_tabular.evaluators.shares import measure_shares

        return measure_shares(self, model, data, seed)
