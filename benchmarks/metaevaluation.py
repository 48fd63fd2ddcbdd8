"""How good the evaluators are: do they tell models that learned the facts from models that never did?

After OpenUnlearning's meta-evaluation (arXiv 2506.12618): two pools of models, which differ in seed, epochs
and rate, one taught the forget set and one not. `python -m benchmarks.metaevaluation` teaches them, runs the
evaluators on each, and prints the table.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import click
import numpy as np

from collapse_core import Evaluator
from collapse_llm.data import Authors
from collapse_llm.evaluators import (
    Depth,
    FactWords,
    LeastLikelyOption,
    Membership,
    Memorization,
    MultipleChoice,
    UnlearnQuality,
)
from collapse_llm.evaluators.attacks import Jailbreak, Leakage
from collapse_llm.evaluators.attacks.copying import copy_of
from collapse_llm.evaluators.attacks.quantization import round_weights
from collapse_llm.evaluators.formulas import area_under_curve
from collapse_llm.model import CausalLm, PromptFormat, Teach
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.training import teach

RESULTS = Path("runs/bench/metaevaluation.json")
NOT_OF_THE_FORGET_SET = ("retain", "chance", "asked", "holdout")
"""Metrics with these in their names say nothing of the forget set."""
SIDES = {"learned": "full", "never learned": "retain"}
"""By pool of models, the split that they are taught."""


@dataclass(frozen=True)
class Verdict:
    """What an evaluator's metric is worth."""

    metric: str
    faithfulness: float
    """The area under the ROC curve between the two pools; 1 tells each pair of models apart."""
    quantized: float
    """The percentage of models that learned and are taken for ones that did not, once rounded to 4 bits."""
    relearned: float
    """The percentage of models that did not learn and are taken for ones that did, after benign training."""


def evaluators(num_questions: int) -> list[Evaluator]:
    """The evaluators that say something of the forget set without another model."""
    return [
        UnlearnQuality(),
        Memorization(num_questions=num_questions),
        FactWords(num_retain=1),
        LeastLikelyOption(),
        MultipleChoice(num_questions=num_questions),
        Membership(gradient=False),
        Depth(depths=[0.5, 1.0], num_questions=num_questions),
        Jailbreak(num_questions=num_questions, wrappings=["affirmative", "role-play", "second-try"]),
        Leakage(num_questions=num_questions, num_samples=8, leak_at=[1, 8]),
    ]


def pool(path: str, side: str, num: int, epochs: int, rate: float) -> Iterator[LanguageModel]:
    """Yield models of one pool, taught with different seeds, and every second one more gently."""
    for seed in range(num):
        gentle = seed % 2
        settings = Teach(
            split=SIDES[side],
            epochs=max(1, epochs - epochs // 4 * gentle),
            learning_rate=rate * (1 - 0.3 * gentle),
            warmup=0.5,
        )
        form = PromptFormat(chat=False)
        model = CausalLm(path=path, compute="float32", prompt=form, teach=settings).load(Authors(), seed)
        assert isinstance(model, LanguageModel)
        yield model


def knowledge(model: LanguageModel, num_questions: int) -> dict[str, float]:
    """Return by metric how much of the forget set a model knows: higher means more."""
    found = {}
    for evaluator in evaluators(num_questions):
        for name, metric in evaluator.evaluate(model, Authors(), 0).metrics.items():
            if metric.direction != "none" and not any(word in name for word in NOT_OF_THE_FORGET_SET):
                found[name] = metric.value if metric.direction == "down" else -metric.value
            elif name.startswith("mia_"):  # without a direction, since too low is a trace as well
                found[name] = metric.value
    return found


def rounded(model: LanguageModel) -> LanguageModel:
    """Return a copy whose weights are rounded to 4 bits."""
    copied = copy_of(model)
    round_weights(copied.module, 4)
    return copied


def relearned(model: LanguageModel, rate: float) -> LanguageModel:
    """Return a copy that was trained for an epoch on what is retained, which it knows."""
    copied = copy_of(model)
    pairs = [(prompt.content, prompt.target) for prompt in Authors().load("retain")]
    teach(copied, pairs, Teach(epochs=1, learning_rate=rate, warmup=0), 0)
    return copied


def judge(
    learned: Sequence[dict[str, float]],
    never: Sequence[dict[str, float]],
    after_rounding: Sequence[dict[str, float]],
    after_training: Sequence[dict[str, float]],
) -> list[Verdict]:
    """Return a verdict per metric; beyond the middle of the two means a model is taken to have learned."""
    verdicts = []
    for metric in learned[0]:
        high, low, rounding, training = (
            np.array([one[metric] for one in some])
            for some in (learned, never, after_rounding, after_training)
        )
        middle = (fmean(high) + fmean(low)) / 2
        quantized, trained = 100 * float((rounding < middle).mean()), 100 * float((training > middle).mean())
        verdicts.append(Verdict(metric, area_under_curve(low, high), quantized, trained))
    return sorted(verdicts, key=lambda v: (-v.faithfulness, v.quantized + v.relearned, v.metric))


def table(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as a table in markdown."""
    rows = [
        f"| `{v.metric}` | {v.faithfulness:.2f} | {v.quantized:.0f} | {v.relearned:.0f} |" for v in verdicts
    ]
    head = "| metric | faithfulness | flipped by 4 bits, % | flipped by benign training, % |"
    return "\n".join([head, "|---|---|---|---|", *rows])


@click.command()
@click.option("--path", default="smollm2-135m-instruct", show_default=True, help="The untaught model.")
@click.option("--models", type=click.IntRange(2), default=8, show_default=True, help="Models of each pool.")
@click.option("--epochs", type=click.IntRange(1), default=6, show_default=True)
@click.option("--learning-rate", type=float, default=2e-4, show_default=True)
@click.option("--questions", type=click.IntRange(4), default=20, show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(path: str, models: int, epochs: int, learning_rate: float, questions: int, results: Path) -> None:
    """Teach two pools of models, measure them, and print what each metric is worth."""
    found: dict[str, list[dict[str, float]]] = {
        "learned": [],
        "never learned": [],
        "4 bits": [],
        "benign": [],
    }
    for side in SIDES:
        for number, model in enumerate(pool(path, side, models, epochs, learning_rate), start=1):
            click.echo(f"{side}, {number} of {models}", err=True)
            found[side].append(knowledge(model, questions))
            changed = rounded(model) if side == "learned" else relearned(model, learning_rate / 2)
            found["4 bits" if side == "learned" else "benign"].append(knowledge(changed, questions))
            results.parent.mkdir(parents=True, exist_ok=True)
            results.write_text(json.dumps(found, indent=1))
    verdicts = judge(*found.values())
    results.write_text(json.dumps({**found, "verdicts": [asdict(v) for v in verdicts]}, indent=1))
    click.echo(table(verdicts))


if __name__ == "__main__":
    main()
