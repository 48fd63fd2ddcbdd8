"""How firmly the very words of true answers are held, teacher-forced."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge

from collapse_core import (
    SHARE,
    Dataset,
    Evaluation,
    Evaluator,
    HasSplits,
    Metric,
    Model,
    mean_metric,
)

if TYPE_CHECKING:
    from collapse_llm.evaluators.formulas import AnswerLosses
    from collapse_llm.evaluators.scoring import Scored


RATIOS = ("truth_ratio", "truth_probability")
MEASURES = ("extraction_strength", "exact_memorization", "probability", *RATIOS)


class Memorization(Evaluator):
    """Probability, both Truth Ratios, Exact Memorization and Extraction Strength of true answers.

    Of the forget set and, as a control, of what is retained. Sources: TOFU (arXiv 2401.06121, section 2.2.1)
    and OpenUnlearning (arXiv 2506.12618). All are in [0, 1]. Where they differ, the code of these benchmarks
    is followed and not their text. Cost per question: a forward pass for each of its answers, true,
    paraphrased and wrong; what another evaluator has scored of the same weights is not scored again.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "extraction_strength_*": (
            "share of a true answer that the model completes by itself from what comes before it, from 0 to 1"
        ),
        "exact_memorization_*": (
            "share of the true answer's tokens that are the model's likeliest ones, from 0 to 1"
        ),
        "probability_*": "probability of the true answers, from 0 to 1",
        "truth_ratio_forget*": (
            "how alike true and wrong answers are in likelihood: 1 where the model cannot tell them apart"
        ),
        "truth_ratio_*": "how clearly a paraphrased true answer is likelier than wrong ones, from 0 to 1",
        "truth_probability_*": (
            "the share that a true answer has of the likelihood of true and wrong ones, from 0 to 1"
        ),
    }
    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    reads: ClassVar[tuple[str, ...]] = ("forget", "retain", "forget_perturbed", "retain_perturbed")
    optional_splits: ClassVar[tuple[str, ...]] = ("retain", "forget_perturbed", "retain_perturbed")

    convention: Literal["exact", "openunlearning"] = "exact"
    """"openunlearning" never lets Extraction Strength fall below one token's share, as its code does."""
    num_questions: Annotated[int, Ge(1)] | None = None
    """Only the first so many questions of each split; TOFU's own code takes 300."""
    batch_size: Annotated[int, Ge(1)] = 64
    """How many answers are scored at once."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Score the true, the paraphrased and the wrong answers of each question."""
        from collapse_llm.evaluators import perturbed

        metrics: dict[str, Metric] = {}
        splits = perturbed.load_with_companions(self, data)
        missing = splits.missing({f"{measure}_retain": ("retain",) for measure in MEASURES})
        for name, found in splits.found.items():
            prompts = list(found)[: self.num_questions]
            scored, losses = perturbed.score_companions(model, prompts, self.batch_size)
            lack = perturbed.lack_of_companions(prompts)
            missing |= {f"{ratio}_{name}": lack for ratio in RATIOS} if lack else {}
            columns = self._columns(name, scored, losses, without_ratio=bool(lack))
            for measure, values in columns.items():
                better: Literal["up", "down"] = (
                    "up" if name == "retain" or measure == "truth_ratio" else "down"
                )
                metrics[f"{measure}_{name}"] = mean_metric([values], seed, better, scale=SHARE)
        return Evaluation(metrics, missing=missing)

    def splits_read(self, data: HasSplits) -> list[str]:
        """Return the splits with companions, or without where there are none."""
        from collapse_llm.evaluators.perturbed import splits_with_companions

        return splits_with_companions(data)

    def _columns(
        self, name: str, scored: "list[Scored]", losses: "AnswerLosses", *, without_ratio: bool
    ) -> Mapping[str, list[float]]:
        from collapse_llm.evaluators import formulas

        hits = [one.spoken(one.hits) for one in scored]
        fairness = formulas.indifference if name == "forget" else formulas.truthfulness
        ratios: dict[str, list[float]] = {}
        if not without_ratio:
            ratios["truth_ratio"] = fairness(formulas.truth_ratio(losses)).tolist()
            ratios["truth_probability"] = formulas.truth_probability(losses).tolist()
        return {
            "extraction_strength": [formulas.extraction_strength(h, self.convention) for h in hits],
            "exact_memorization": [formulas.exact_memorization(h) for h in hits],
            "probability": formulas.probability(losses).tolist(),
            **ratios,
        }
