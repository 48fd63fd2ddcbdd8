"""How a language model is trained on what was kept."""

from collections.abc import Sequence
from typing import Annotated, Literal

from annotated_types import Ge, Gt

from collapse_core import Iteration, Kept, Model, Prompt, Updater


class Sft(Updater):
    """Supervised fine-tuning on the kept answers, with retain answers weighed in.

    loss = CE(kept answer) + retain_weight * CE(retain answer), each the mean over answer tokens of its
    half of the batch (arXiv 2507.04219, section 4), in however many micro-batches it is computed.
    """

    learning_rate: Annotated[float, Gt(0)] = 1e-5
    """The peak learning rate of AdamW."""
    retain_weight: Annotated[float, Ge(0)] = 1.5
    """The paper's lambda."""
    batch_size: Annotated[int, Ge(1)] = 16
    """Kept answers an optimizer step; as many retain answers come beside them."""
    micro_batch_size: Annotated[int, Ge(1)] | None = None
    """Kept answers in one forward pass, where memory does not hold a batch."""
    epochs: Annotated[int, Ge(1)] = 1
    """Passes over what an iteration kept."""
    schedule: Literal["linear", "constant"] = "linear"
    """Whether the learning rate falls to zero over the run."""
    warmup: Annotated[float, Ge(0)] = 1.0
    """Iterations over which the learning rate rises."""
    weight_decay: Annotated[float, Ge(0)] = 0.01
    """AdamW's weight decay."""
    max_grad_norm: Annotated[float, Gt(0)] | None = 1.0
    """Gradients are scaled down to this norm."""

    def update(
        self, model: Model, kept: Sequence[Kept], retain: Sequence[Prompt], iteration: Iteration
    ) -> dict[str, float]:
        """Train on the kept answers and on as large a share of the retain prompts in each step."""
        from collapse_llm.updater.fine_tuning import fine_tune

        return fine_tune(self, model, kept, retain, iteration)
