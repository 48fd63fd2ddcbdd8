"""What a model still remembers, in the three ways that each attack on a copy reports."""

from collections.abc import Sequence
from typing import Literal

from collapse_core import PERCENT, SHARE, Evaluation, Prompt, derive_seed, mean_metric
from collapse_llm.conversations import transcript_of
from collapse_llm.evaluators.cautions import say_empty, say_unseen
from collapse_llm.evaluators.formulas import extraction_strength
from collapse_llm.evaluators.scoring import score_answers
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.rewards import rouge_recall
from collapse_llm.sampler.answering import greedy_answers

BATCH_SIZE = 64
"""How many true answers are scored at once."""


def remembered(
    model: LanguageModel, prompts: Sequence[Prompt], split: str, max_new_tokens: int, seed: int
) -> Evaluation:
    """Measure ROUGE-L recall of greedy answers in percent, extraction strength and loss of true answers.

    Args:
        model: The model or its copy.
        prompts: Questions with their true answers.
        split: What the examples say they are of. What it calls retained is to be remembered.
        max_new_tokens: The longest answer that is decoded.
        seed: Seed of the intervals.
    """
    answers = greedy_answers(model, prompts, max_new_tokens)
    say_unseen([prompt.target for prompt in prompts])
    say_empty(answers)
    recalls = [rouge_recall(p.target, answer) for p, answer in zip(prompts, answers, strict=True)]
    scored = score_answers(model, [(prompt.content, prompt.target) for prompt in prompts], BATCH_SIZE)
    strengths = [extraction_strength(one.spoken(one.hits), "exact") for one in scored]
    retained = split.startswith("retain")
    better: Literal["up", "down"] = "up" if retained else "down"
    seed = derive_seed(seed, "remembered")
    return Evaluation(
        {
            "rouge": mean_metric([[100 * recall for recall in recalls]], seed, better, scale=PERCENT),
            "strength": mean_metric([strengths], seed, better, scale=SHARE),
            "loss": mean_metric([[one.loss for one in scored]], seed, "down" if retained else "none"),
        },
        [
            {"split": split, "prompt": transcript_of(p.content), "answer": answer}
            | {"target": p.target, "score": recall}
            for p, answer, recall in zip(prompts, answers, recalls, strict=True)
        ],
    )
