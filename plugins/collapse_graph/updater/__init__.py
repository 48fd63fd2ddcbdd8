"""How the models are trained on what was kept."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt

from collapse_core import Iteration, Kept, Model, Prompt, PushingUpdater


class _Steps(PushingUpdater):
    """Gradient steps by AdamW on what was kept and on what is to be retained."""

    learning_rate: Annotated[float, Gt(0)] = 1e-3
    """The peak learning rate of AdamW."""
    num_steps: Annotated[int, Ge(1)] = 25
    """Optimizer steps per iteration."""
    batch_size: Annotated[int, Ge(1)] = 64
    """Kept examples per step, and as many retain examples, in shuffled passes over either."""
    schedule: Literal["linear", "constant"] = "constant"
    """Whether the learning rate falls linearly to zero over the run."""
    warmup: Annotated[float, Ge(0)] = 0.0
    """Iterations over which the learning rate rises from zero."""


class GraphLikelihood(_Steps):
    """Maximum likelihood on the kept graphs, with retain graphs weighed in.

    loss = NLL(kept graphs) + retain_weight * NLL(retain graphs), each the mean over the tokens of its half of
    the batch, in a fresh order of the nodes at each step. With `against_weight`, graphs that are set against
    kept ones are pushed away, until a token's log-probability is against_limit times the reference model's.
    """

    works_on: ClassVar[tuple[str, ...]] = ("graph-generator",)

    def update(
        self, model: Model, kept: Sequence[Kept], retain: Sequence[Prompt], iteration: Iteration
    ) -> dict[str, float]:
        """Train on the kept graphs and on the retain graphs; on what there is, where one is missing."""
        from collapse_graph.updater.fine_tuning import train_on_graphs

        return train_on_graphs(self, model, kept, retain, iteration)


class LabelLikelihood(_Steps):
    """Cross-entropy on the kept labels, with the retain nodes' labels weighed in.

    loss = CE(kept labels) + retain_weight * CE(retain labels), each the mean over the nodes of its half of
    the batch; every step is a pass over the whole graph. With `against_weight`, labels that are set against
    kept ones are pushed away, until a label's log-probability is against_limit times the reference model's.
    """

    works_on: ClassVar[tuple[str, ...]] = ("node-classifier",)

    def update(
        self, model: Model, kept: Sequence[Kept], retain: Sequence[Prompt], iteration: Iteration
    ) -> dict[str, float]:
        """Train on the kept labels and on the retain labels; on what there is, where one is missing."""
        from collapse_graph.updater.fine_tuning import train_on_labels

        return train_on_labels(self, model, kept, retain, iteration)
