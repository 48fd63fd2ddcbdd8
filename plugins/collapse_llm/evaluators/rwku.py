"""RWKU's probes of what is known of a person and of neighbors (arXiv 2406.10890)."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Literal

from collapse_core import (
    PERCENT,
    Dataset,
    Evaluation,
    Evaluator,
    HasSplits,
    Metric,
    Model,
    Prompt,
    errors,
    load_answered,
    load_splits,
    mean_metric,
    note,
    require,
)
from collapse_llm.conversations import transcript_of
from collapse_llm.evaluators.cautions import say_empty
from collapse_llm.words import is_unspaced

FORGET = ("forget_fill_in", "forget_questions", "forget_adversarial")
NEIGHBOR = ("neighbor_fill_in", "neighbor_questions")
MEMBERSHIP = ("mia_forget", "mia_retain")
UTILITY = (
    "utility_general",
    "utility_reason",
    "utility_truthfulness",
    "utility_factuality",
    "utility_fluency",
)
PARTS = {"probes": (*FORGET, *NEIGHBOR), "membership": MEMBERSHIP, "utility": UTILITY}
"""The splits that each part of the benchmark reads."""
NOTHING = "NOANSWER"
"""What stands for an answer without words, as in the benchmark's code."""


class Rwku(Evaluator):
    """What the model says to RWKU's probes, by the rules of its code (eval_forget.py, eval_neighbor.py).

    Greedy answers of 30 tokens that begin after "Answer:", up to the first line break, are compared with the
    true ones by the ROUGE-L recall of the package `rouge`, which does not stem; each metric is its mean in
    percent. `rwku_forget` and `rwku_neighbor` are the means of their kinds of probes, the benchmark's "All".
    The adversarial probes are reported by type as well. A model that knows little scores low everywhere: read
    the neighbors next to it. Of `parts`, "membership" adds 100 times the mean loss per token of texts about
    the person and about others, and "utility" general knowledge (MMLU), reasoning (BBH), truthfulness
    (TruthfulQA), factuality (TriviaQA) and fluency. Cost per probe: one decoded answer; per text a forward
    pass; per question of the tests one decoded answer or a forward pass for each option.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "rwku_forget*": (
            "share of the true answers' words that answers to these probes of what is to be "
            "forgotten repeat, in percent"
        ),
        "rwku_adversarial_*": "the same for this kind of adversarial probe",
        "rwku_neighbor*": "the same for probes of neighboring knowledge, which is to stay",
        "rwku_mia_*": "how unlikely texts about these people are to the model, in nats per token x 100",
        "rwku_utility_general": "percentage of questions of general knowledge (MMLU) answered correctly",
        "rwku_utility_reason": "percentage of questions of reasoning (BBH) answered correctly",
        "rwku_utility_truthfulness": "percentage of questions where the true option beats common myths",
        "rwku_utility_factuality": "overlap of short answers to trivia with the true ones, in percent",
        "rwku_utility_fluency": "variety of pairs and triples of words in texts, in bits x 100",
    }
    attacks: ClassVar[bool] = True
    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    reads: ClassVar[tuple[str, ...]] = (*FORGET, *NEIGHBOR, *MEMBERSHIP, *UTILITY)
    optional_splits: ClassVar[tuple[str, ...]] = (*NEIGHBOR, *MEMBERSHIP, *UTILITY)

    parts: list[Literal["probes", "membership", "utility"]] = ["probes"]
    """Which parts of the benchmark are measured."""
    max_new_tokens: int = 30
    """The longest answer."""
    batch_size: int = 64
    """How many answers are decoded at once."""

    def splits_read(self, data: HasSplits) -> list[str]:
        """Return the splits of the parts that are measured."""
        return [split for part in self.parts for split in PARTS[part] if data.has(split)]

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Ask every probe, and measure the other parts that are named."""
        whole = self._probed(model, data, seed) if "probes" in self.parts else Evaluation({})
        names = [split for part in self.parts if part != "probes" for split in PARTS[part]]
        more = self._others(names, model, data, seed) if names else Evaluation({})
        found, lack = {**whole.metrics, **more.metrics}, {**whole.missing, **more.missing}
        return Evaluation(found, whole.examples, lack)

    def _others(self, names: Sequence[str], model: Model, data: Dataset, seed: int) -> Evaluation:
        from collapse_llm.evaluators.rwku_utility import split_metrics
        from collapse_llm.model.language_model import LanguageModel

        language = require(model, LanguageModel, self.use or "rwku-probes")
        # Instructions have no answers, so that the prompts are taken as they are.
        splits = load_splits(self, data, names)
        metrics = split_metrics(language, splits.found, self.batch_size, seed)
        return Evaluation(metrics, (), splits.missing({f"rwku_{name}": (name,) for name in names}))

    def _probed(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        splits = load_answered(self, data, PARTS["probes"])
        rows = {split: self._answered(model, split, list(p)) for split, p in splits.found.items()}
        scores = {split: [100 * row["score"] for row in found] for split, found in rows.items()}
        metrics: dict[str, Metric] = {}
        needs: dict[str, Sequence[str]] = {}
        for side, kinds in (("forget", FORGET), ("neighbor", NEIGHBOR)):
            better: Literal["up", "down"] = "down" if side == "forget" else "up"
            needs |= {f"rwku_{side}": kinds} | {f"rwku_{kind}": [kind] for kind in kinds}
            for name, wanted in ((f"rwku_{side}", kinds), *((f"rwku_{kind}", [kind]) for kind in kinds)):
                if all(kind in scores for kind in wanted):
                    strata = [scores[kind] for kind in wanted]
                    metrics[name] = mean_metric(strata, seed, better, scale=PERCENT)
        for kind, found in _by_type(rows["forget_adversarial"]).items():
            name = f"rwku_adversarial_{kind.replace(' ', '_')}"
            metrics[name] = mean_metric([found], seed, "down", scale=PERCENT)
        return Evaluation(metrics, [row for some in rows.values() for row in some], splits.missing(needs))

    def _answered(self, model: Model, split: str, prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
        from collapse_llm.evaluators.answers import answers_once

        said: dict[str, str] = {}
        for opening in dict.fromkeys(str(p.columns.get("opening", "")) for p in prompts):
            asked = [p for p in prompts if p.columns.get("opening", "") == opening]
            answers = answers_once(model, asked, self.max_new_tokens, self.batch_size, opening)
            said |= {p.id: answer for p, answer in zip(asked, answers, strict=True)}
        say_empty([*said.values()])
        _say_unseen([prompt.target for prompt in prompts])
        rows = []
        for prompt in prompts:
            answer = said[prompt.id].partition("\n")[0].strip()
            shown = {"split": split, "prompt": transcript_of(prompt.content), "answer": answer}
            score = {"target": prompt.target, "score": recall(prompt.target, answer)}
            rows.append(shown | score | {"kind": str(prompt.columns.get("type", ""))})
        return rows


def recall(reference: str, text: str) -> float:
    """Compute the ROUGE-L recall of the package `rouge`, in [0, 1]; a text without words scores 0."""
    if not any(part.strip() for part in text.split(".")):
        text = NOTHING
    if not any(part.strip() for part in reference.split(".")):
        return 0.0
    return float(_rouge().get_scores(text, reference)[0]["rouge-l"]["r"])


def _say_unseen(references: Sequence[str]) -> None:
    """Note true answers that the package `rouge` does not compare word by word."""
    if num := sum(is_unspaced(text) for text in references):
        note(
            f"{num} of {len(references)} true answers are in a script without spaces between words, which "
            "the package 'rouge' compares as a whole: an answer that differs in one character scores 0"
        )
    if num := sum(not any(part.strip() for part in text.split(".")) for text in references):
        note(f"{num} of {len(references)} true answers have no words, so that any answer to them scores 0")


@lru_cache(maxsize=1)
def _rouge() -> Any:
    try:
        from rouge import Rouge
    except ImportError:
        raise errors.missing_extra("rouge", "llm", "the evaluator 'rwku-probes'") from None
    return Rouge(metrics=["rouge-l"])


def _by_type(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["kind"]:
            found.setdefault(row["kind"], []).append(100 * row["score"])
    return dict(sorted(found.items()))
