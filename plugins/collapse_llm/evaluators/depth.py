"""Can the fact still be read inside the network, whatever the network says?"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from collapse_core import (
    PERCENT,
    CollapseError,
    Dataset,
    Evaluation,
    Evaluator,
    Metric,
    Model,
    load_answered,
    mean_metric,
    note,
)
from collapse_llm.evaluators.baselines import OtherModel, measured_once

if TYPE_CHECKING:
    from collapse_llm.evaluators.states import Read

UNTAUGHT = (
    "a model that never learned the facts, which says what can be guessed: add 'untaught_model: {use: "
    "causal-lm, path: <the untaught model>}'"
)


class Depth(Evaluator):
    """Whether true answers are still linearly readable inside the network, layer by layer (white box).

    The logit lens (nostalgebraist 2020; Belrose et al., arXiv 2303.08112) puts a layer's hidden states
    through the final norm and the output layer: `depth_lens_N` is the mean log-probability, in nats, that it
    gives the first tokens of the fact's own words (see `fact-words`), N percent up the layers. The probe
    (Alain and Bengio, arXiv 1610.01644) is a logistic regression on the hidden state at the end of an answer,
    which tells true answers from wrong ones of questions that it was not trained on: `depth_probe_N` is the
    percentage of questions whose true answer it ranks first. Both need a model that never learned the facts,
    whose own numbers are what can be guessed: the metrics that end in `_excess` are the difference. Cost per
    question: a forward pass for each of its answers, true and wrong, in either model.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "depth_*_excess": "that number minus the same of a model that never learned the facts",
        "depth_lens_*": (
            "how likely the fact's own words are if read off inside the network, so many percent "
            "up its layers, in nats"
        ),
        "depth_probe_chance": "percentage that a guess gets right",
        "depth_probe_*": (
            "percentage of questions whose true answer a linear probe recognizes so many percent "
            "up the layers"
        ),
    }
    attacks: ClassVar[bool] = True
    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    reads: ClassVar[tuple[str, ...]] = ("forget_perturbed",)

    untaught_model: OtherModel | None = None
    """A model of the same kind that never learned the facts."""
    depths: list[Annotated[float, Gt(0), Le(1)]] = [0.25, 0.5, 0.75, 1.0]
    """How far up the layers: 1 is the last."""
    folds: Annotated[int, Ge(2)] = 5
    """Into how many parts the questions are divided for the probe; each is tested once."""
    num_questions: Annotated[int, Ge(2)] | None = None
    """Only the first so many questions."""
    batch_size: Annotated[int, Ge(1)] = 32
    """How many answers are read at once."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Read the hidden states of both models."""
        from collapse_llm.evaluators import states
        from collapse_llm.evaluators.fact_words import own_words
        from collapse_llm.evaluators.perturbed import check_companions

        prompts = list(load_answered(self, data).found["forget_perturbed"])[: self.num_questions]
        check_companions(prompts)
        if len(prompts) < 2:
            raise CollapseError(
                f"the evaluator '{self.use or 'depth'}' needs at least two questions, since its probe is "
                "trained on others than it is tested on; forget more or leave it out"
            )
        if num := sum(not own_words(prompt) for prompt in prompts):
            note(
                f"{num} of {len(prompts)} questions have no words of the fact's own, so that depth_lens is "
                "about all tokens of their answers"
            )

        def read(either: Model) -> "Read":
            return states.read(either, prompts, self.depths, self.folds, self.batch_size)

        own = read(model)
        metrics = _metrics(own, seed)
        if self.untaught_model is None:
            reason = f"it takes {UNTAUGHT}"
            names = [f"{name}_excess" for name in metrics if name != "depth_probe_chance"]
            return Evaluation(metrics, missing=dict.fromkeys(names, reason))
        held = (model, "untaught model")
        base = measured_once(self, self.untaught_model, data, read, UNTAUGHT, held_against=held)
        return Evaluation(metrics | _excess(own, base, seed))


def _metrics(own: "Read", seed: int) -> dict[str, Metric]:
    metrics: dict[str, Metric] = {}
    for name, by_depth in own.columns().items():
        for depth, values in by_depth.items():
            full = f"depth_{name}_{100 * depth:g}"
            metrics[full] = mean_metric(
                [list(values)], seed, "down", scale=PERCENT if name == "probe" else None
            )
    metrics["depth_probe_chance"] = Metric(own.chance)
    return metrics


def _excess(own: "Read", base: "Read", seed: int) -> dict[str, Metric]:
    """What the model gives above one that never learned the facts, question by question."""
    metrics: dict[str, Metric] = {}
    theirs = base.columns()
    for name, by_depth in own.columns().items():
        for depth, values in by_depth.items():
            full = f"depth_{name}_{100 * depth:g}_excess"
            pairs = zip(values, theirs[name][depth], strict=True)
            metrics[full] = mean_metric(
                [[a - b for a, b in pairs]], seed, "down", scale=(-100, 100) if name == "probe" else None
            )
    return metrics
