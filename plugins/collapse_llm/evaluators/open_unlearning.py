"""OpenUnlearning's TOFU suite: measured, read from its logs, and written as one (arXiv 2506.12618)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from annotated_types import Ge

from collapse_core import (
    SHARE,
    CollapseError,
    Dataset,
    Evaluation,
    Metric,
    Model,
    Prompt,
    load_answered,
    mean_metric,
)
from collapse_llm.evaluators.answers import Answering, Row
from collapse_llm.evaluators.open_unlearning_names import PREFIXES, UTILITY, better


class OpenUnlearning(Answering):
    """OpenUnlearning's measures on TOFU's questions, under its names, with what it logs of each question.

    Probability, ROUGE-L recall and Truth Ratio of the forget set and of the three sets of Model Utility, and
    Extraction Strength of the forget set. `collapse eval --logs` reads its TOFU_EVAL.json, MUSE_EVAL.json and
    SUMMARY files with it, a retain model's second; `collapse export-logs` writes what it has measured, and
    what `muse-metrics` has. Cost per question: one decoded answer, and a forward pass for each of its
    answers, true, paraphrased and wrong.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "*_Q_A_Prob": "probability of the true answers, from 0 to 1",
        "*_Q_A_Prob_normalised": "probability of the true answers among wrong ones, from 0 to 1",
        "*_Q_A_ROUGE": "share of the words of the true answers that answers repeat in order, from 0 to 1",
        "forget_truth_ratio": (
            "how alike true and wrong answers to forget are in likelihood: 1 where the model "
            "cannot tell them apart"
        ),
        "*_Truth_Ratio": "how clearly a paraphrased true answer is likelier than wrong ones, from 0 to 1",
        "extraction_strength": (
            "share of a true answer that the model completes by itself from what comes before it, from 0 to 1"
        ),
        "model_utility": (
            "harmonic mean of nine measures, from 0 to 1, of what is to be retained and of general knowledge"
        ),
    }
    reads: ClassVar[tuple[str, ...]] = tuple(f"{split}_perturbed" for split in PREFIXES)
    optional_splits: ClassVar[tuple[str, ...]] = tuple(f"{split}_perturbed" for split in UTILITY)

    max_new_tokens: Annotated[int, Ge(1)] = 200
    """The longest answer."""
    scoring_batch_size: Annotated[int, Ge(1)] = 64
    """How many given answers are scored at once."""
    num_questions: Annotated[int, Ge(1)] | None = None
    """Only the first so many questions of each split; OpenUnlearning takes all."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Ask each question, and score its answers right and wrong."""
        from collapse_llm.evaluators import formulas
        from collapse_llm.evaluators.open_unlearning_logs import columns, components

        splits = load_answered(self, data)
        loaded = {
            split.removesuffix("_perturbed"): list(prompts)[: self.num_questions]
            for split, prompts in splits.found.items()
        }
        rows = self.answers(model, loaded)
        for split, prompts in loaded.items():
            self._score(model, split, prompts, rows[split])
        metrics: dict[str, Metric] = {}
        for split, found in rows.items():
            for name, values in columns(split, found).items():
                metrics[name] = mean_metric([values.tolist()], seed, better(name), scale=SHARE)
        if set(UTILITY) <= set(rows):
            parts = [components(split, rows[split]) for split in UTILITY]
            metrics["model_utility"] = formulas.resampled_metric(formulas.model_utility, parts, seed, "up")
        missing = splits.missing({"model_utility": tuple(f"{split}_perturbed" for split in UTILITY)})
        missing |= splits.missing({name: (f"{s}_perturbed",) for s in UTILITY for name in columns(s, ())})
        return Evaluation(metrics, [row for found in rows.values() for row in found], missing)

    def _score(self, model: Model, split: str, prompts: Sequence[Prompt], rows: Sequence[Row]) -> None:
        """Add to each row what OpenUnlearning logs of a question."""
        from collapse_llm.evaluators import formulas
        from collapse_llm.evaluators.perturbed import check_companions, score_companions

        check_companions(prompts)
        scored, losses = score_companions(model, prompts, self.scoring_batch_size)
        options = formulas.probability_among_options(losses)
        ratios = formulas.truth_ratio(losses)
        for number, row in enumerate(rows):
            row["avg_loss"] = float(losses.true[number])
            row["prob"] = float(formulas.probability(losses)[number])
            row["prob_normalised"] = float(options[number])
            row["truth_ratio"] = float(ratios[number])
            if split == "forget":
                hits = scored[number].spoken(scored[number].hits)
                row["extraction_strength"] = formulas.extraction_strength(hits, "openunlearning")

    def read_logs(self, logs: Sequence[Path]) -> Evaluation:
        """Read the first log, and compare it with a retain model's, the second, where there is one."""
        from collapse_llm.evaluators.open_unlearning_logs import compared, measured

        if not logs:
            raise CollapseError("no log is given")
        found = measured(logs[0])
        more = compared(logs[0], logs[1]) if len(logs) > 1 else {}
        return Evaluation({**found.metrics, **more}, (), found.missing)

    def write_logs(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, object]:
        """Return the EVAL and SUMMARY files of TOFU and of MUSE of a model's rows."""
        from collapse_llm.evaluators.open_unlearning_logs import as_logs

        return as_logs(rows)
