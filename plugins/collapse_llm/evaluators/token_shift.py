"""What unlearning does to the forget set's words where they mean something else."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le

from collapse_core import (
    CollapseError,
    Dataset,
    Evaluation,
    Evaluator,
    Metric,
    Model,
    Splits,
    derive_seed,
    errors,
    load_answered,
)
from collapse_llm.conversations import text_of
from collapse_llm.evaluators.baselines import RETAIN, OtherModel, measured_once

if TYPE_CHECKING:
    from collapse_llm.evaluators.formulas import Numbers

UNRELATED = ("world_facts", "real_authors")
MEASURES = ("mean", "spread", "lost", "places")


class TokenShift(Evaluator):
    """How the probability of the forget set's tokens shifts in unrelated text.

    p_model(token | text before) - p_base(the same), at each place of unrelated text whose token occurs in an
    answer of the forget set (arXiv 2507.04219, token probability shift, where the base is a retain model and
    the text 100 chunks of wikitext-2). Zero on average and of small spread is no harm; values near -1 are
    words that the model can no longer say. Cost: a forward pass per chunk of text, in either model.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "token_shift_mean": (
            "mean change of the probability of the forgotten answers' tokens in unrelated text; 0 is no harm"
        ),
        "token_shift_spread": "standard deviation of that change",
        "token_shift_lost": (
            "percentage of positions whose right token has become far less likely than before"
        ),
        "token_shift_places": "number of positions that were looked at",
    }
    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    reads: ClassVar[tuple[str, ...]] = ("forget", *UNRELATED)
    optional_splits: ClassVar[tuple[str, ...]] = UNRELATED

    base_model: OtherModel | None = None
    """What the model is compared with: a retain model, or the reference model."""
    path: str | None = None
    """A text file; by default the questions and answers of the world facts and real authors are the text, or
    of either where the data set has no more."""
    num_chunks: Annotated[int, Ge(1)] = 100
    """How many chunks are read, from the beginning of the text."""
    chunk_length: Annotated[int, Ge(2)] = 128
    """Tokens a chunk."""
    near: Annotated[float, Gt(0), Le(1)] = 0.9
    """How far a probability must fall to count as lost."""
    batch_size: Annotated[int, Ge(1)] = 16
    """How many chunks are read at once."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Read the same text with both models."""
        from collapse_llm.evaluators import formulas, reading

        missing = f"{RETAIN.replace('retain_model', 'base_model')}; or the reference model"
        splits = load_answered(self, data, ("forget",) if self.path else self.reads)
        text = self._text(splits)
        if not text:
            lack = f"{self.path} is empty" if self.path else splits.absent[UNRELATED[0]]
            reason = f"{lack}; give it a text with 'path: <a text file>'"
            return Evaluation({}, missing={f"token_shift_{name}": reason for name in MEASURES})
        answers = [prompt.target for prompt in splits.found["forget"]]
        extent = (self.num_chunks, self.chunk_length)

        def read(either: Model) -> "list[Numbers]":
            return reading.word_probabilities(either, text, answers, extent, self.batch_size)

        before = measured_once(self, self.base_model, data, read, missing)
        after = read(model)
        shifts = [a - b for a, b in zip(after, before, strict=True) if len(a)]
        if not shifts:
            raise CollapseError(
                f"'{self.use or 'token-shift'}': no token of the forget set occurs in the unrelated text; "
                "give it a longer one with 'path: <a text file>'"
            )
        return Evaluation(self._metrics(formulas.resampled_metric, shifts, seed))

    def _metrics(self, resampled: Any, shifts: "Sequence[Numbers]", seed: int) -> dict[str, Metric]:
        """Chunks are resampled whole, since places of one chunk are not independent."""
        import numpy as np

        chunks = np.empty(len(shifts), dtype=object)
        chunks[:] = shifts
        joined = np.concatenate
        return {
            "token_shift_mean": resampled(
                lambda g: float(joined(g[0]).mean()), [chunks], derive_seed(seed, "mean")
            ),
            "token_shift_spread": resampled(
                lambda g: float(joined(g[0]).std()), [chunks], derive_seed(seed, "spread"), "down"
            ),
            "token_shift_lost": resampled(
                lambda g: float(100 * (joined(g[0]) <= -self.near).mean()),
                [chunks],
                derive_seed(seed, "lost"),
                "down",
            ),
            "token_shift_places": Metric(float(sum(map(len, shifts)))),
        }

    def _text(self, splits: Splits) -> str:
        """The unrelated text; empty where there is none."""
        if self.path is None:
            prompts = [prompt for split in UNRELATED for prompt in splits.found.get(split, ())]
            return "\n".join(f"{text_of(prompt.content)} {prompt.target}." for prompt in prompts)
        try:
            return Path(self.path).read_text(encoding="utf-8-sig").strip()
        except OSError as error:
            raise errors.unreadable(Path(self.path), error) from None
        except UnicodeDecodeError as error:
            raise CollapseError(f"{self.path} is not UTF-8 ({error}); save it in that encoding") from None
