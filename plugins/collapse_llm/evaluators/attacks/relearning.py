"""How soon what was forgotten comes back in a copy that is taught something near it."""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from collapse_core import (
    CollapseError,
    Dataset,
    Evaluation,
    Metric,
    Model,
    Prompt,
    derive_seed,
    load_answered,
    require,
)
from collapse_core.torch import adamw, backward, descend, seeded
from collapse_llm.evaluators.attacks import TextRelearning
from collapse_llm.evaluators.attacks.copying import copy_of
from collapse_llm.evaluators.attacks.remembering import remembered
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.training import shuffled_batches, token_losses


def measure_relearning(settings: TextRelearning, model: Model, data: Dataset, seed: int) -> Evaluation:
    """Return what the copy knows of the questions that it is not taught, after some steps each."""
    language = require(model, LanguageModel, settings.use)
    splits = load_answered(settings, data, ["forget", *(["retain"] if settings.on == "retain" else [])])
    taught, asked = divide(list(splits.found["forget"]), settings.share, derive_seed(seed, "divide"))
    if settings.on == "retain":
        if "retain" in splits.absent:
            return Evaluation({}, missing=dict.fromkeys(_names(settings), splits.absent["retain"]))
        retain = list(splits.found["retain"])
        source = random.Random(derive_seed(seed, "retain"))
        taught = source.sample(retain, min(len(taught), len(retain)))
    metrics: dict[str, Metric] = {}
    examples: list[Mapping[str, Any]] = []
    copy_ = copy_of(language)
    for number in relearn(settings, copy_, taught, derive_seed(seed, "relearn")):
        found = remembered(copy_, asked, f"forget, {number} steps on", settings.max_new_tokens, seed)
        metrics |= {f"relearned_{name}_{number}": metric for name, metric in found.metrics.items()}
        examples += found.examples
    return Evaluation(metrics, examples)


def _names(settings: TextRelearning) -> list[str]:
    """The names of the metrics."""
    return [
        f"relearned_{name}_{number}" for number in settings.steps for name in ("rouge", "strength", "loss")
    ]


def divide(prompts: list[Prompt], share: float, seed: int) -> tuple[list[Prompt], list[Prompt]]:
    """Return the prompts that may be taught and those that are asked, at least one of each.

    Raises:
        CollapseError: There are fewer than two.
    """
    if len(prompts) < 2:
        raise CollapseError(
            "the evaluator 'text-relearning' needs at least two forget questions, one to teach and one to "
            "ask; forget more or leave it out"
        )
    num = min(max(1, round(share * len(prompts))), len(prompts) - 1)
    chosen = set(random.Random(seed).sample(range(len(prompts)), num))
    taught = [prompt for place, prompt in enumerate(prompts) if place in chosen]
    return taught, [prompt for place, prompt in enumerate(prompts) if place not in chosen]


def relearn(
    settings: TextRelearning, copy_: LanguageModel, taught: Sequence[Prompt], seed: int
) -> Iterator[int]:
    """Train the copy in place, stopping after each number of steps at which it is to be asked."""
    examples = [copy_.encoder.example(prompt.content, prompt.target) for prompt in taught]
    batches = itertools.chain.from_iterable(
        shuffled_batches(examples, settings.batch_size, derive_seed(seed, epoch))
        for epoch in itertools.count()
    )

    def accumulate(number: int) -> float:
        with seeded(derive_seed(seed, "dropout", number)), copy_.for_training() as module:
            return backward(torch.cat(token_losses(module, next(batches), copy_.device)).mean())

    if 0 in settings.steps:
        yield 0
    optimizer = copy_.optimizer(adamw(fused=None))
    for number in descend(optimizer, max(settings.steps), accumulate, lambda _: settings.learning_rate):
        if number in settings.steps:
            yield number
