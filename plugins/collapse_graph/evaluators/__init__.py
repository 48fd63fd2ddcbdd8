"""What forgetting and quality are for graphs, and for the labels of nodes."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt

from collapse_core import Dataset, Evaluation, Evaluator, Model


class _Drawing(Evaluator):
    """An evaluator that draws graphs of its own, with seeds of its own."""

    num_draws: Annotated[int, Ge(2)] = 500
    """How many graphs are drawn under each condition."""
    temperature: Annotated[float, Gt(0)] = 1.0
    """The temperature of these draws; 1 is the model as it is."""


class GraphForgetting(_Drawing):
    """What the model now draws when asked for what it was to forget.

    The judge is the data set's own exact test of a graph. It is not a second opinion but the truth: a reward
    that tests the same thing cannot be deceived where the judge is not. Cost: `num_draws` drawn graphs.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "forget_rate": (
            "share of graphs drawn under the forgotten condition that still fulfill it, from 0 to 1"
        ),
        "forget_valid": "share of them that are valid graphs",
        "forget_unique": "share of distinct ones among the valid",
        "goes_to_*": "share of them that fulfill this other condition",
    }
    works_on: ClassVar[tuple[str, ...]] = ("graph-generator",)
    known_from: ClassVar[tuple[str, float] | None] = ("forget_rate", 0.5)

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Draw under the forgotten condition and see which conditions the graphs fulfill."""
        from collapse_graph.evaluators.drawn import measure_forgetting

        return measure_forgetting(self, model, data, seed)


class GraphQuality(_Drawing):
    """Whether the model still draws well under the conditions to retain.

    Squared MMDs are taken against held-out graphs of the retained conditions, in their proportions; the floor
    is the same distance from the training graphs to these. Cost: `num_draws` drawn graphs for each retained
    condition.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "accuracy": (
            "mean share of graphs that fulfill the retained condition they were drawn under, from 0 to 1"
        ),
        "accuracy_*": "the same for this condition",
        "valid_unique_novel": "share of draws that are valid, distinct, and no training graph",
        "valid": "share of draws that are valid graphs",
        "unique": "share of distinct graphs among the valid draws",
        "novel": "share of the valid draws that are no training graph",
        "mmd_*": "distance of drawn graphs from held-out ones, by this statistic",
        "floor_*": "the same distance of training graphs from held-out ones",
    }
    works_on: ClassVar[tuple[str, ...]] = ("graph-generator",)

    reads: ClassVar[tuple[str, ...]] = ("retain", "full", "test")

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Draw under each retained condition."""
        from collapse_graph.evaluators.drawn import measure_quality

        return measure_quality(self, model, data, seed)


class GraphRelearning(_Drawing):
    """How soon a copy of the model draws what was forgotten again, taught real graphs of it.

    The copy is trained with AdamW at a constant rate on the training graphs of the forgotten condition alone;
    the model itself is left as it is. A model that relearns sooner than one that was never trained on it has
    kept something. Cost: as many training steps as the last of `after`, and `num_draws` drawn graphs for each
    number of steps.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "relearned_after_*": (
            "share of draws that fulfill the forgotten condition, after so many steps of training "
            "a copy on it"
        ),
    }
    attacks: ClassVar[bool] = True
    works_on: ClassVar[tuple[str, ...]] = ("graph-generator",)

    reads: ClassVar[tuple[str, ...]] = ("forget_examples",)

    after: list[Annotated[int, Ge(1)]] = [5, 10, 20, 40]
    """After how many steps the copy is asked."""
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    """The rate of AdamW."""
    batch_size: Annotated[int, Ge(1)] = 64
    """Graphs per step, in shuffled passes."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Teach a copy, asking it now and then."""
        from collapse_graph.evaluators.relearning import measure_relearning

        return measure_relearning(self, model, data, seed)


class NodeAccuracy(Evaluator):
    """How often the likeliest label is the true one: on nodes to forget, to retain, and never trained on.

    Cost: a forward pass over the whole graph.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "accuracy_forget": "share of nodes to forget whose true label is the likeliest, from 0 to 1",
        "accuracy_retain": "the same of nodes to retain",
        "accuracy_test*": "the same of these nodes that were never trained on",
    }
    works_on: ClassVar[tuple[str, ...]] = ("node-classifier",)

    reads: ClassVar[tuple[str, ...]] = ("forget", "retain", "test")
    known_from: ClassVar[tuple[str, float] | None] = ("accuracy_forget", 0.5)

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Label every node once."""
        from collapse_graph.evaluators.labeled import measure_accuracy

        return measure_accuracy(model, data, seed)


class MembershipInference(Evaluator):
    """How well an attack by the true label's probability finds out which nodes were taught, as an AUC.

    P(score of a forgotten node > score of a test node) + P(equal) / 2, among test nodes of the labels that
    occur in the forget set. A half means that the attack learns nothing; below it the model gives away
    that it avoids something (the attack by confidence, as in Yeom et al., Privacy Risk in Machine
    Learning, 2018). Cost: a forward pass over the whole graph.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "membership_auc": (
            "how well an attack tells forgotten nodes from ones never trained on: 0.5 is chance, "
            "and below it they stand out as avoided"
        ),
    }
    attacks: ClassVar[bool] = True
    works_on: ClassVar[tuple[str, ...]] = ("node-classifier",)

    reads: ClassVar[tuple[str, ...]] = ("forget", "test")

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Compare each forgotten node with every test node of the same labels."""
        from collapse_graph.evaluators.labeled import measure_membership

        return measure_membership(model, data, seed)
