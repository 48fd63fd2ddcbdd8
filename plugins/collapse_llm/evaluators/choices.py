"""Multiple choice, scored as EleutherAI's lm-evaluation-harness does."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge

from collapse_core import (
    PERCENT,
    Dataset,
    Evaluation,
    Evaluator,
    HasSplits,
    Metric,
    Model,
    Splits,
    load_answered,
    mean_metric,
)

if TYPE_CHECKING:
    from collapse_llm.evaluators.asking import Asked

SIDES = ("forget", "retain")
WAYS = ("letter", "option", "option_norm")


class MultipleChoice(Evaluator):
    """The percentage of multiple-choice questions that the model answers rightly, by letter and by option.

    As lm-evaluation-harness scores them (0.4.13): the option counts as chosen whose continuation of the
    prompt has the highest summed log-probability. By letter, the options stand in the prompt and " A", " B",
    ... are compared, as in MMLU (arXiv 2009.03300) and WMDP (2403.03218); by option, the texts themselves are
    compared, as they are and per character (acc and acc_norm). Without questions of multiple choice, the
    true answer is an option next to a question's wrong ones. Cost per question: a forward pass per option
    and way of asking.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "choice_letter_*": "percentage of multiple-choice questions answered rightly by the option's letter",
        "choice_option_norm_*": "percentage answered rightly by the option's text, per character",
        "choice_option_*": "percentage answered rightly by the option's text",
        "choice_chance_*": "percentage that a guess gets right",
    }
    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    reads: ClassVar[tuple[str, ...]] = (
        "forget_choices", "retain_choices", "forget_perturbed", "retain_perturbed",
    )  # fmt: skip
    optional_splits: ClassVar[tuple[str, ...]] = reads

    by: list[Literal["letter", "option"]] = ["letter", "option"]
    """The ways of asking."""
    description: str = "The following are multiple choice questions (with answers) about {}.\n\n"
    """What stands before a question of a row with a column `subject`, which goes where {} is."""
    chat: bool = False
    """Whether the model's chat template puts the question; benchmarks are scored without it."""
    num_questions: Annotated[int, Ge(1)] | None = None
    """Only the first so many questions of each split."""
    batch_size: Annotated[int, Ge(1)] = 32
    """How many options are scored at once."""

    def splits_read(self, data: HasSplits) -> list[str]:
        """Return the splits of multiple choice, or those with wrong answers where there are none."""
        pairs = ((f"{side}_choices", f"{side}_perturbed") for side in SIDES)
        first = (next((split for split in pair if data.has(split)), None) for pair in pairs)
        return [split for split in first if split]

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Score the options of each question."""
        from collapse_llm.evaluators import asking

        metrics: dict[str, Metric] = {}
        missing: dict[str, str] = {}
        examples: list[Mapping[str, object]] = []
        for side in SIDES:
            splits = self._splits(data, side)
            names = [f"choice_{way}_{side}" for way in WAYS if way.split("_")[0] in self.by]
            if not splits.found:
                reason = "; ".join(splits.absent.values())
                missing |= dict.fromkeys([*names, f"choice_chance_{side}"], reason)
                continue
            [prompts] = splits.found.values()
            asked = [asking.as_choice(p, seed) for p in list(prompts)[: self.num_questions]]
            form = asking.Form(self.description, self.chat)
            scored = asking.choose(model, asked, self.by, form, self.batch_size)
            better: Literal["up", "down"] = "down" if side == "forget" else "up"
            for way, chosen in scored.items():
                right = [100.0 * (a == q.right) for a, q in zip(chosen, asked, strict=True)]
                name = f"choice_{way}_{side}"
                metrics[name] = mean_metric([right], seed, better, scale=PERCENT)
            chance = [100.0 / len(q.options) for q in asked]
            metrics[f"choice_chance_{side}"] = Metric(sum(chance) / len(chance))
            examples += _rows(side, asked, scored)
        return Evaluation(metrics, examples, missing)

    def _splits(self, data: Dataset, side: str) -> Splits:
        """The questions of multiple choice, else those with wrong answers."""
        first = load_answered(self, data, [f"{side}_choices"])
        second = Splits({}, {}) if first.found else load_answered(self, data, [f"{side}_perturbed"])
        return Splits(first.found or second.found, {**first.absent, **second.absent})


def _rows(
    side: str, asked: "Sequence[Asked]", scored: Mapping[str, Sequence[int]]
) -> list[Mapping[str, object]]:
    """Rows to read: what was chosen by the first way of asking."""
    way = next(iter(scored))
    return [
        {
            "split": f"{side}, by {way}",
            "prompt": question.text,
            "answer": question.options[place],
            "target": question.options[question.right],
            "score": float(place == question.right),
        }
        for question, place in zip(asked, scored[way], strict=True)
    ]
