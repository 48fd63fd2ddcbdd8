"""TOFU's two headline numbers: Model Utility and Forget Quality (Maini et al., arXiv 2401.06121)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge

from collapse_core import (
    SHARE,
    CollapseError,
    Dataset,
    Evaluation,
    Evaluator,
    Metric,
    Model,
    load_answered,
    mean_metric,
)
from collapse_llm.evaluators.answers import Answering
from collapse_llm.evaluators.baselines import RETAIN, OtherModel, measured_once

if TYPE_CHECKING:
    from collapse_llm.evaluators.formulas import AnswerLosses, Numbers

TASKS = ("retain", "real_authors", "world_facts")
COMPONENTS = ("probability", "rouge", "truth_ratio")


class ModelUtility(Answering):
    """TOFU's Model Utility: the harmonic mean of nine numbers about what is to be retained.

    These are Probability, ROUGE-L recall and Truth Ratio on retain, real authors and world facts (arXiv
    2401.06121, section 2.2.1). It follows the benchmark's code in `aggregate_eval_stat`, where that differs
    from the text. All are in [0, 1]. Cost per question: one decoded answer and a forward pass for each of its
    answers, true, paraphrased and wrong; both are shared with other evaluators.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "model_utility": (
            "harmonic mean of nine measures, from 0 to 1, of what is to be retained and of general "
            "knowledge (TOFU)"
        ),
        "mu_probability_*": (
            "probability of the true answers, in the last two sets among wrong ones, from 0 to 1"
        ),
        "mu_rouge_*": "share of the words of the true answers that answers repeat in order, from 0 to 1",
        "mu_truth_ratio_*": "how clearly a paraphrased true answer is likelier than wrong ones, from 0 to 1",
    }
    repeatable: ClassVar[bool] = True

    reads: ClassVar[tuple[str, ...]] = tuple(f"{task}_perturbed" for task in TASKS)
    optional_splits: ClassVar[tuple[str, ...]] = ("real_authors_perturbed", "world_facts_perturbed")

    scoring_batch_size: Annotated[int, Ge(1)] = 64
    """How many given answers are scored at once."""
    num_questions: Annotated[int, Ge(1)] | None = None
    """Only the first so many questions of each split; TOFU's own code takes 300."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Ask each question, and score its answers right and wrong."""
        from collapse_llm.evaluators.perturbed import check_companions, score_companions

        splits = load_answered(self, data)
        check_companions([prompt for prompts in splits.found.values() for prompt in prompts])
        loaded = {
            split.removesuffix("_perturbed"): list(prompts)[: self.num_questions]
            for split, prompts in splits.found.items()
        }
        rows = self.answers(model, loaded)
        losses = {
            task: score_companions(model, prompts, self.scoring_batch_size)[1]
            for task, prompts in loaded.items()
        }
        rouge = {task: [row["score"] for row in found] for task, found in rows.items()}
        missing = splits.missing(_needs())
        metrics = _utility(losses, rouge, seed)
        return Evaluation(
            {name: metric for name, metric in metrics.items() if name not in missing},
            [row for found in rows.values() for row in found],
            missing,
        )

    def read_logs(self, logs: Sequence[Path]) -> Evaluation:
        """Compute it from the first log, an aggregated one of TOFU's evaluation."""
        from collapse_llm.evaluators.logs import losses_in, read_log, rouge_in

        path, log = _first(logs), read_log(_first(logs))
        losses = {task: losses_in(log, task, path).first(self.num_questions) for task in TASKS}
        rouge = {task: rouge_in(log, task, path)[: self.num_questions] for task in TASKS}
        return Evaluation(_utility(losses, rouge, 0))


def _needs() -> dict[str, Sequence[str]]:
    """The splits that each metric is measured on."""
    by_task = {f"mu_{name}_{task}": (f"{task}_perturbed",) for name in COMPONENTS for task in TASKS}
    return {"model_utility": ModelUtility.reads, **by_task}


def _utility(losses: Mapping[str, "AnswerLosses"], rouge: Mapping[str, Any], seed: int) -> dict[str, Metric]:
    import numpy as np

    from collapse_llm.evaluators import formulas

    table = {
        task: np.stack(
            [
                (formulas.probability if task == "retain" else formulas.probability_among_options)(its),
                np.array(rouge[task], dtype=float),
                formulas.truthfulness(formulas.truth_ratio(its)),
            ],
            axis=1,
        )
        for task, its in losses.items()
    }
    parts = {
        f"mu_{name}_{task}": mean_metric([values[:, i].tolist()], seed, "up", scale=SHARE)
        for i, name in enumerate(COMPONENTS)
        for task, values in table.items()
    }
    whole = formulas.resampled_metric(formulas.model_utility, list(table.values()), seed, "up")
    return {"model_utility": whole, **parts}


class ForgetQuality(Evaluator):
    """TOFU's Forget Quality: do the truth ratios of forget questions differ from a retain model's?

    The p-value of a two-sided Kolmogorov-Smirnov test between the two models (arXiv 2401.06121, section
    2.2.2). It is no mean over questions, so it has no interval. Cost per question: a forward pass for each
    of its answers, true, paraphrased and wrong, shared with other evaluators; the same in the retain model.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "forget_quality": (
            "p-value of a test whether the model can be told from one that never learned the "
            "facts; low where it can (TOFU)"
        ),
        "forget_quality_log10": "the logarithm of that p-value",
        "truth_ratio_distance": "how far the truth ratios of the two models are apart, from 0 to 1",
    }
    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    reads: ClassVar[tuple[str, ...]] = ("forget_perturbed",)

    retain_model: OtherModel | None = None
    """The model that was taught all but the forget set."""
    retain_log: str | None = None
    """A published log of such a model, of TOFU or OpenUnlearning; as many questions are asked as it has."""
    num_questions: Annotated[int, Ge(1)] | None = None
    """Only the first so many questions; TOFU's own code takes 300."""
    batch_size: Annotated[int, Ge(1)] = 64
    """How many answers are scored at once."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Compare the truth ratios of both models."""
        if self.retain_log:
            retained = self._logged(Path(self.retain_log))
            return _quality(self._ratios(model, data, len(retained)), retained)
        retained = measured_once(
            self,
            self.retain_model,
            data,
            lambda other: self._ratios(other, data, self.num_questions),
            RETAIN + OR_LOG,
            held_against=(model, "retain model"),
        )
        return _quality(self._ratios(model, data, self.num_questions), retained)

    def read_logs(self, logs: Sequence[Path]) -> Evaluation:
        """Compute it from two logs: the unlearned model's, then the retain model's."""
        others = [*logs[1:], *([Path(self.retain_log)] if self.retain_log else [])]
        if not others:
            raise CollapseError(
                f"the evaluator '{self.use or 'forget-quality'}' compares with a retain model: give its log "
                "too, after the first, or name it with 'retain_log'"
            )
        return _quality(self._logged(_first(logs)), self._logged(others[0]))

    def _logged(self, path: Path) -> "Numbers":
        from collapse_llm.evaluators.logs import forget_truth_ratios

        return forget_truth_ratios(path)[: self.num_questions]

    def _ratios(self, model: Model, data: Dataset, num: int | None) -> "Numbers":
        from collapse_llm.evaluators.formulas import truth_ratio
        from collapse_llm.evaluators.perturbed import check_companions, score_companions

        prompts = list(load_answered(self, data).found["forget_perturbed"])[:num]
        check_companions(prompts)
        return truth_ratio(score_companions(model, prompts, self.batch_size)[1])


OR_LOG = "; or a published log of one: 'retain_log: <file>'"


def _quality(unlearned: "Numbers", retained: "Numbers") -> Evaluation:
    from collapse_llm.evaluators.formulas import forget_quality, log10_of

    p_value, statistic = forget_quality(unlearned, retained)
    return Evaluation(
        {
            "forget_quality": Metric(p_value, "up"),
            "forget_quality_log10": Metric(log10_of(p_value), "up"),
            "truth_ratio_distance": Metric(statistic, "down"),
        }
    )


def _first(logs: Sequence[Path]) -> Path:
    if not logs:
        raise CollapseError("no log is given")
    return logs[0]
