"""MUSE's four metrics: verbatim memory, knowledge, privacy leakage, utility (arXiv 2407.06460)."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Lt

from collapse_core import (
    PERCENT,
    SHARE,
    Dataset,
    Evaluation,
    Evaluator,
    Metric,
    Model,
    Prompt,
    area_metric,
    load_answered,
    mean_metric,
    require,
)
from collapse_llm.conversations import text_of
from collapse_llm.evaluators.baselines import OtherModel, measured_once
from collapse_llm.evaluators.cautions import say_cut_before, say_empty, say_shared, say_unseen
from collapse_llm.evaluators.membership import NOT_COMPARABLE
from collapse_llm.words import unstemmed

if TYPE_CHECKING:
    from collapse_llm.evaluators.formulas import Numbers

LEAST = 0.4
"""The share of least likely tokens of Min-K%."""
STRENGTH = "muse_extraction_strength"
KNOWLEDGE = ("knowmem_forget", "knowmem_retain")
ATTACKED = ("privleak_forget", "privleak_holdout")
STOPS = re.compile(r"\n\n|\nQuestion|Question:")
"""Where an answer to a few-shot question ends."""
RETRAINED = (
    "the area of the retrained model: 'retrained_auc: 0.4772' for news and 0.5393 for books, as the "
    "benchmark measured it, or 'retain_model: {use: causal-lm, path: muse-bench/MUSE-News_retrain}'"
)


class Muse(Evaluator):
    """MUSE's metrics, by the rules of its code (muse_bench, eval.py and metrics/).

    Verbatim and knowledge memory are 100 times the mean ROUGE-L F-measure without stemming of greedy
    answers: of 128 tokens after an opening, and of 32 tokens after ten answered questions. Utility is
    knowledge of what is retained. PrivLeak is 100 (AUC - r) / r with AUC = P(a holdout text is likelier than
    a forget text) by Min-40%, and r that of the retrained model: below zero the model still knows the texts,
    above it avoids them. Extraction strength of the verbatim texts is OpenUnlearning's addition.
    OpenUnlearning stems words here: its numbers differ, and `collapse export-logs` writes them. Cost per
    question or opening: one decoded answer, and per opening and text of the attack a forward pass.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "muse_verbmem_forget": (
            "overlap of what the model writes after an opening with how the text goes on, in percent"
        ),
        "muse_knowmem_*": "overlap of answers to questions about these texts with the true ones, in percent",
        "muse_extraction_strength": "share of a text that the model completes by itself, from 0 to 1",
        "muse_auc": (
            "how well an attack tells texts never trained on from the forgotten ones: 0.5 is "
            "chance, 0 for a model that knows them"
        ),
        "muse_privleak": (
            "how that compares with a retrained model, in percent; 0 is no trace, below 0 the "
            "texts are still known"
        ),
    }
    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    reads: ClassVar[tuple[str, ...]] = ("verbmem_forget", *KNOWLEDGE, *ATTACKED)
    optional_splits: ClassVar[tuple[str, ...]] = reads

    retrained_auc: Annotated[float, Gt(0), Lt(1)] | None = None
    """The area of the retrained model, as the benchmark published it."""
    retain_model: OtherModel | None = None
    """The retrained model itself, where its area is to be measured."""
    verbatim_tokens: Annotated[int, Ge(2)] = 128
    """How many tokens of the continuation are compared."""
    answer_tokens: Annotated[int, Ge(1)] = 32
    """The longest answer to a question."""
    batch_size: Annotated[int, Ge(1)] = 16
    """How many answers are decoded, or texts scored, at once."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Ask for texts and facts, and attack the texts."""
        splits = load_answered(self, data)
        names = {split: f"muse_{split}" for split in ("verbmem_forget", *KNOWLEDGE)}
        missing = splits.missing({name: (split,) for split, name in names.items()})
        missing |= splits.missing({STRENGTH: ("verbmem_forget",)})
        missing |= splits.missing(dict.fromkeys(("muse_privleak", "muse_auc"), ATTACKED))
        metrics: dict[str, Metric] = {}
        examples: list[Mapping[str, Any]] = []
        for split, name in names.items():
            if split in splits.found:
                rows = self._answered(model, split, splits.found[split])
                if split == "verbmem_forget":
                    metrics[STRENGTH] = self._strength(model, splits.found[split], rows, seed)
                scores = [100 * row["score"] for row in rows]
                better: Literal["up", "down"] = "up" if split == "knowmem_retain" else "down"
                metrics[name] = mean_metric([scores], seed, better, scale=PERCENT)
                examples += rows
        if "muse_auc" not in missing:
            more, lack = self._attack(model, data, [splits.found[split] for split in ATTACKED], seed)
            metrics, missing = metrics | more, missing | lack
        return Evaluation(metrics, examples, missing)

    def _answered(self, model: Model, split: str, prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
        """Rows to read, with the F-measure as their score."""
        from collapse_llm.evaluators.answers import answers_once
        from collapse_llm.model.language_model import LanguageModel

        tokenizer = require(model, LanguageModel, self.use or "muse-metrics").encoder.tokenizer
        verbatim = split == "verbmem_forget"
        length = self.verbatim_tokens if verbatim else self.answer_tokens
        answers = answers_once(model, prompts, length, self.batch_size)
        say_unseen([prompt.target for prompt in prompts])
        say_empty(answers)
        rows = []
        for prompt, answer in zip(prompts, answers, strict=True):
            target = prompt.target
            if verbatim:  # the benchmark counts the token that begins texts among those of the continuation
                ids = tokenizer(target, add_special_tokens=False).input_ids[: length - 1]
                target = tokenizer.decode(ids, skip_special_tokens=True)
            said = answer if verbatim else STOPS.split(answer)[0].strip()
            shown = {"split": split, "prompt": text_of(prompt.content)[-400:], "answer": said}
            whole = {"whole_target": prompt.target} if verbatim else {}
            rows.append(shown | {"target": target, "score": f_measure(target, said)} | whole)
        return rows

    def _strength(
        self, model: Model, prompts: Sequence[Prompt], rows: Sequence[dict[str, Any]], seed: int
    ) -> Metric:
        """OpenUnlearning's extraction strength of the texts, also put into their rows.

        Its code takes the last token for the end of the text and leaves it out; so does this.
        """
        from collapse_llm.evaluators.formulas import extraction_strength
        from collapse_llm.evaluators.scoring import score_answers

        asked = [(prompt.content, prompt.target) for prompt in prompts]
        say_cut_before(model, asked)
        for row, one in zip(rows, score_answers(model, asked, self.batch_size), strict=True):
            hits = one.spoken(one.hits)
            row["extraction_strength"] = extraction_strength(
                hits[:-1] if len(hits) > 1 else hits, "openunlearning"
            )
        return mean_metric([[row["extraction_strength"] for row in rows]], seed, "down", scale=SHARE)

    def _attack(
        self, model: Model, data: Dataset, groups: Sequence[Sequence[Prompt]], seed: int
    ) -> tuple[dict[str, Metric], dict[str, str]]:
        """The area, and how far it is from that of the retrained model."""
        from collapse_llm.evaluators import formulas

        say_shared(*([prompt.target for prompt in prompts] for prompts in groups))
        say_cut_before(model, [(p.content, p.target) for prompts in groups for p in prompts])

        def scores(either: Model) -> "list[Numbers]":
            return [_min_k(either, prompts, self.batch_size) for prompts in groups]

        def area(found: Sequence[Any]) -> float:
            forget, holdout = found
            return formulas.area_under_curve(holdout, forget)

        own = scores(model)
        metrics = {"muse_auc": area_metric(own[0].tolist(), own[1].tolist())}
        retrained = self.retrained_auc
        if self.retain_model is not None:
            held = (model, "retrained model")
            retrained = area(measured_once(self, self.retain_model, data, scores, held_against=held))
        if not retrained:
            lack = f"it takes {RETRAINED}" if retrained is None else NOT_COMPARABLE
            return metrics, {"muse_privleak": lack}
        found = metrics["muse_auc"]
        leak, low, high = (
            None if end is None else 100 * (end / retrained - 1)
            for end in (found.value, found.low, found.high)
        )
        return metrics | {"muse_privleak": Metric(leak or 0.0, low=low, high=high)}, {}


def f_measure(reference: str, text: str) -> float:
    """Compute the ROUGE-L F-measure of the rouge-score package, without stemming, in [0, 1].

    Words of scripts other than Latin, which that package does not see, count as in `rouge_recall`.
    """
    return float(_scorer().score(reference, text)["rougeL"].fmeasure)


@lru_cache(maxsize=1)
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=SimpleNamespace(tokenize=unstemmed))


def _min_k(model: Model, prompts: Sequence[Prompt], batch_size: int) -> "Numbers":
    """Min-40% of each text: minus the mean of its least likely tokens' log-probabilities."""
    import numpy as np

    from collapse_llm.evaluators.formulas import least_likely
    from collapse_llm.evaluators.scoring import score_answers

    scored = score_answers(model, [(prompt.content, prompt.target) for prompt in prompts], batch_size)
    return np.array([least_likely(one.spoken(one.log_probs), LEAST) for one in scored])
