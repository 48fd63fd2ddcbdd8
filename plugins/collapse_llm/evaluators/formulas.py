"""The field's formulas, on numbers that are already there: losses by question, hits by token."""

import math
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from collapse_core import Metric

Numbers = npt.NDArray[np.float64]
RESAMPLES = 1000
LEAST_LOG10 = -308.0
"""What is reported as the logarithm of a p-value that is too small for a double."""


@dataclass(frozen=True)
class AnswerLosses:
    """By question, the mean cross-entropy per token of answers right and wrong, the end included."""

    true: Numbers
    """Of the true answer, shape (questions,)."""
    paraphrased: Numbers
    """Of the true answer in other words, shape (questions,)."""
    wrong: Sequence[Sequence[float]]
    """Of each wrong answer."""

    def first(self, num: int | None) -> "AnswerLosses":
        """Those of the first so many questions, or all."""
        return AnswerLosses(self.true[:num], self.paraphrased[:num], self.wrong[:num])


def probability(losses: AnswerLosses) -> Numbers:
    """Return the true answer's length-normalized probability: exp(-loss) (TOFU, arXiv 2401.06121, 2.2.1)."""
    return np.exp(-losses.true)


def probability_among_options(losses: AnswerLosses) -> Numbers:
    """Return the share p / (p + the sum over wrong answers), each normalized by its length (TOFU, 2.2.1)."""
    # By differences of losses: each probability of its own may be too small for a double.
    pairs = zip(losses.true, losses.wrong, strict=True)
    with np.errstate(over="ignore"):
        odds: Numbers = np.array([np.exp(own - np.array(wrong)).sum() for own, wrong in pairs])
    return 1 / (1 + odds)


def truth_ratio(losses: AnswerLosses) -> Numbers:
    """R = w / c: how much likelier wrong answers are than the true one in other words.

    c = exp(-loss of the paraphrased answer), w = exp(-mean loss of the wrong answers), a geometric mean.
    This is TOFU's code; its text (arXiv 2401.06121, equation 1) has an arithmetic mean.
    """
    wrong: Numbers = np.array([np.mean(options) for options in losses.wrong])
    return np.exp(losses.paraphrased - wrong)


def truth_probability(losses: AnswerLosses) -> Numbers:
    """Return c / (c + w) = 1 / (1 + R): OpenUnlearning's second truth ratio, its aggregator `prob_mean`.

    c and w are those of `truth_ratio` (arXiv 2506.12618).
    """
    return 1 / (1 + truth_ratio(losses))


def indifference(ratios: Numbers) -> Numbers:
    """min(R, 1/R): 1 where true and wrong are equally likely, as TOFU's code has it for the forget set."""
    return np.minimum(ratios, 1 / ratios)


def truthfulness(ratios: Numbers) -> Numbers:
    """max(0, 1 - R): high where the truth is likelier, as TOFU's code has it for what is retained."""
    return np.maximum(0.0, 1 - ratios)


def harmonic_mean(values: Sequence[float]) -> float:
    """Return the harmonic mean; 0 as soon as one value is, and no number as soon as one is none."""
    if any(np.isnan(value) for value in values):
        return float("nan")
    return len(values) / sum(1 / value for value in values) if min(values) > 0 else 0.0


def model_utility(components: Sequence[Numbers]) -> float:
    """TOFU's Model Utility: the harmonic mean of the means of nine components.

    Args:
        components: For each set of questions, an array of shape (questions, 3).
    """
    return harmonic_mean([float(mean) for values in components for mean in values.mean(axis=0)])


def forget_quality(unlearned: Numbers, retained: Numbers) -> tuple[float, float]:
    """TOFU's Forget Quality and its statistic: a two-sided Kolmogorov-Smirnov test on truth ratios.

    Returns:
        The p-value, high where the two models cannot be distinguished, and the largest distance of the two
        distribution functions.
    """
    from scipy.stats import ks_2samp

    test = ks_2samp(unlearned, retained)
    return float(test.pvalue), float(test.statistic)


def log10_of(p_value: float) -> float:
    """Its logarithm, finite also where the p-value has underflown to zero."""
    return float(np.log10(p_value)) if p_value > 0 else LEAST_LOG10


def exact_memorization(hits: npt.NDArray[np.bool_]) -> float:
    """Return the share of the answer's tokens that are the likeliest (Tirumala et al., arXiv 2205.10770)."""
    return float(hits.mean())


def extraction_strength(hits: npt.NDArray[np.bool_], convention: Literal["exact", "openunlearning"]) -> float:
    """1 - k/n, with k the fewest true tokens that make the model say all the rest.

    After Carlini et al. (arXiv 2012.07805), as OpenUnlearning has it (arXiv 2506.12618). Teacher-forced,
    which for the rest after k is the same as greedy decoding. OpenUnlearning's loop ends at k = n - 1 even
    where the last token is wrong, so its values never fall below 1/n.
    """
    misses = np.flatnonzero(~hits)
    needed = int(misses[-1]) + 1 if len(misses) else 0
    if convention == "openunlearning":
        needed = min(needed, len(hits) - 1)
    return 1 - needed / len(hits)


def least_likely(values: Numbers, share: float) -> float:
    """Return minus the mean of the lowest `share` of the values, at least one (Min-K%, arXiv 2310.16789)."""
    num = max(1, int(len(values) * share))
    return float(-np.sort(values)[:num].mean())


def incompressible_loss(loss: float, text: str) -> float:
    """Return the loss a byte of the compressed text (Carlini et al., arXiv 2012.07805)."""
    return loss / len(zlib.compress(text.encode("utf-8")))


def area_under_curve(members: Numbers, others: Numbers) -> float:
    """P(other > member) + P(equal) / 2: the area under the ROC curve, 1 where members all score lower."""
    order = np.sort(members)
    below, not_above = np.searchsorted(order, others), np.searchsorted(order, others, side="right")
    return float((below + not_above).mean() / (2 * len(members)))


def privacy_leakage(unlearned: float, retained: float) -> float:
    """PrivLeak (MUSE, arXiv 2407.06460): 100 (a - r) / r with a and r one minus the areas.

    Zero where the attack does as well on a model that never saw the data; negative where the forget set is
    still recognized, positive where it stands out as avoided.
    """
    return 100 * (retained - unlearned) / (1 - retained + 1e-10)


def resampled_metric(
    statistic: Callable[[Sequence[npt.NDArray[Any]]], float],
    groups: Sequence[npt.NDArray[Any]],
    seed: int,
    direction: Literal["up", "down", "none"] = "none",
) -> Metric:
    """Return a statistic of sets of questions, with its 95 % bootstrap interval; none for one question.

    Questions are resampled with replacement within their set, 1000 times, whole rows together. The ends are
    corrected for bias and skewness (BCa; Efron and Tibshirani 1993, section 14.3) and widened for few
    questions as Student's distribution is (Hesterberg, American Statistician 69, 2015, section 5.3).

    Args:
        statistic: What is computed of the sets.
        groups: One array a set of questions; its first axis is the question.
        seed: Seed of the resampling.
        direction: Which way is better.
    """
    from scipy.stats import bootstrap, norm, t

    value, least = float(statistic(groups)), min(map(len, groups))
    if least < 2 or not math.isfinite(value):
        return Metric(value, direction)

    def of(*chosen: npt.NDArray[np.int64]) -> float:
        return statistic([group[some] for group, some in zip(groups, chosen, strict=True)])

    outside = norm.cdf(-math.sqrt(least / (least - 1)) * t.ppf(0.975, least - 1))
    with warnings.catch_warnings(action="ignore"):  # where all resamples agree, there is nothing to correct
        found = bootstrap(
            [np.arange(len(group)) for group in groups],
            of,
            vectorized=False,
            n_resamples=RESAMPLES,
            confidence_level=1 - 2 * outside,
            rng=np.random.Generator(np.random.Philox(key=seed)),
        )
    low, high = found.confidence_interval
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = np.quantile(found.bootstrap_distribution, [outside, 1 - outside])
    return Metric(value, direction, float(low), float(high), least)
