"""Membership inference: six attacks that find out whether the forget set was taught."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le

from collapse_core import Dataset, Evaluation, Evaluator, Metric, Model, Prompt, area_metric, load_answered
from collapse_llm.conversations import Answered
from collapse_llm.evaluators.baselines import RETAIN, OtherModel, measured_once
from collapse_llm.evaluators.cautions import say_cut_before, say_shared

if TYPE_CHECKING:
    from collapse_llm.evaluators.formulas import Numbers

GROUPS = ("forget", "holdout")
NOT_COMPARABLE = (
    "the attack finds every text to forget in the retain model too, so that there is nothing to divide by; "
    "was it trained on them?"
)


class Membership(Evaluator):
    """Membership inference against answers: the area under the ROC curve of six attacks.

    Members are the true answers of the forget set, others those of a holdout set that was never trained on; 1
    means that members are known at sight, 0.5 that nothing is, and below 0.5 that they stand out as avoided.
    The attacks are those of OpenUnlearning (arXiv 2506.12618): loss (Yeom et al. 2018), zlib (arXiv
    2012.07805), min-k (2310.16789), min-k++ (2404.02936), gradient norm (2402.17012) and, where a reference
    model is named, reference (2012.07805). Cost per question: a forward pass, and for the gradient norm a
    forward and a backward pass.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "mia_*": (
            "how well an attack tells answers to forget from ones never trained on: 0.5 is chance, "
            "1 finds all, below 0.5 they stand out as avoided"
        ),
    }
    attacks: ClassVar[bool] = True
    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    reads: ClassVar[tuple[str, ...]] = GROUPS

    share: Annotated[float, Gt(0), Le(1)] = 0.4
    """The share of least likely tokens that min-k and min-k++ look at."""
    gradient: bool = True
    """Whether the gradient norm is among the attacks; it costs a backward pass per question."""
    reference_model: OtherModel | None = None
    """A model of the same kind that never saw the forget set; without one the sixth attack is left out."""
    batch_size: Annotated[int, Ge(1)] = 64
    """How many answers are scored at once."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Attack the model by each of the scores, which are low for what it knows."""
        from collapse_llm.evaluators.scoring import gradient_norms

        asked = _asked(self, model, data)
        scores = attack_scores(model, asked, self.share, self.batch_size)
        if self.gradient:
            scores["gradient"] = {g: gradient_norms(model, pairs) for g, pairs in asked.items()}
        if self.reference_model is not None:
            calm = measured_once(
                self,
                self.reference_model,
                data,
                lambda other: attack_scores(other, asked, self.share, self.batch_size)["loss"],
                held_against=(model, "reference model of the attack"),
            )
            scores["reference"] = {
                g: [a - b for a, b in zip(scores["loss"][g], calm[g], strict=True)] for g in GROUPS
            }
        return Evaluation({f"mia_{name}": _area(by_group) for name, by_group in scores.items()})


class PrivLeak(Evaluator):
    """PrivLeak: how much better or worse min-k recognizes the forget set than in a retain model, in percent.

    100 (a - r) / r with a = 1 - AUC of the model and r = 1 - AUC of the retain model (MUSE, arXiv 2407.06460;
    OpenUnlearning). The target is 0. Cost per question: a forward pass, and one in the retain model.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "privleak": (
            "how much better or worse an attack recognizes the forget set than in a model that "
            "never learned it, in percent; 0 is no trace"
        ),
        "mia_min_k": "how well the attack finds the forget set in this model: 0.5 is chance, 1 finds all",
        "mia_min_k_retain_model": "the same in the model that never learned it",
    }
    attacks: ClassVar[bool] = True
    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    reads: ClassVar[tuple[str, ...]] = GROUPS

    retain_model: OtherModel | None = None
    """The model that was taught all but the forget set."""
    share: Annotated[float, Gt(0), Le(1)] = 0.4
    """The share of least likely tokens that min-k looks at."""
    batch_size: Annotated[int, Ge(1)] = 64
    """How many answers are scored at once."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Attack both models with the same questions."""
        from collapse_llm.evaluators import formulas

        asked = _asked(self, model, data)

        def attacked(either: Model) -> dict[str, list[float]]:
            return attack_scores(either, asked, self.share, self.batch_size)["min_k"]

        held = (model, "retain model")
        retained = measured_once(self, self.retain_model, data, attacked, RETAIN, held_against=held)
        unlearned = attacked(model)

        def leakage(groups: Sequence[Any]) -> float:
            own, its = (formulas.area_under_curve(groups[0][:, i], groups[1][:, i]) for i in (0, 1))
            return formulas.privacy_leakage(own, its)

        pairs = [_columns(unlearned[group], retained[group]) for group in GROUPS]
        metrics = {"mia_min_k": _area(unlearned), "mia_min_k_retain_model": _area(retained)}
        if metrics["mia_min_k_retain_model"].value == 1:
            return Evaluation(metrics, missing={"privleak": NOT_COMPARABLE})
        return Evaluation({"privleak": formulas.resampled_metric(leakage, pairs, seed)} | metrics)


Scores = dict[str, dict[str, list[float]]]
"""By attack and group, a score per question; low for what the model knows."""


def attack_scores(
    model: Model, asked: Mapping[str, Sequence[Answered]], share: float, batch_size: int
) -> Scores:
    """Return the scores of the attacks that need a forward pass only; one pass serves all."""
    from collapse_llm.evaluators import formulas
    from collapse_llm.evaluators.scoring import score_answers

    scores: Scores = {name: {} for name in ("loss", "zlib", "min_k", "min_k_plus_plus")}
    for group, pairs in asked.items():
        found = score_answers(model, pairs, batch_size, standardize=True)
        texts = [answer for _, answer in pairs]
        scores["loss"][group] = [one.loss for one in found]
        scores["zlib"][group] = [
            formulas.incompressible_loss(one.loss, text) for one, text in zip(found, texts, strict=True)
        ]
        scores["min_k"][group] = [formulas.least_likely(one.spoken(one.log_probs), share) for one in found]
        scores["min_k_plus_plus"][group] = [
            formulas.least_likely(one.spoken(one.standardized), share)
            for one in found
            if one.standardized is not None
        ]
    return scores


def _area(by_group: Mapping[str, Sequence[float]]) -> Metric:
    """Return P(a holdout text scores above a forget text), the area under the attack's ROC curve."""
    return area_metric(by_group["holdout"], by_group["forget"])


def _asked(evaluator: Evaluator, model: Model, data: Dataset) -> dict[str, list[Answered]]:
    """The questions and true answers of both groups; it is noted what would hide one in the other."""
    asked = {group: _pairs(found) for group, found in load_answered(evaluator, data).found.items()}
    say_shared(*([answer for _, answer in asked[group]] for group in GROUPS))
    say_cut_before(model, [pair for pairs in asked.values() for pair in pairs])
    return asked


def _pairs(prompts: Sequence[Prompt]) -> list[Answered]:
    return [(prompt.content, prompt.target) for prompt in prompts]


def _column(values: Sequence[float]) -> "Numbers":
    import numpy as np

    return np.array(values, dtype=float)


def _columns(own: Sequence[float], its: Sequence[float]) -> "Numbers":
    import numpy as np

    return np.stack([_column(own), _column(its)], axis=1)
