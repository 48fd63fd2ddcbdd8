"""What a leak is, and how often one happens: estimates and bounds from n samples of a question."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, log, sqrt
from statistics import fmean, pstdev

from collapse_llm.rewards import rouge_recall, stems


@dataclass(frozen=True, slots=True)
class Truth:
    """What must not come out."""

    text: str
    """The true answer, or what is left of it after its forced beginning."""
    facts: frozenset[str] = frozenset()
    """The fact's own words, as stems; see `fact_words.own_words`. Empty where they are not known."""

    def leaks(self, answer: str, verbatim: float) -> bool:
        """Return whether an answer repeats the truth nearly verbatim, or says all words of the fact."""
        said_it = bool(self.facts) and self.facts <= set(stems(answer))
        return said_it or rouge_recall(self.text, answer) >= verbatim


def leak_at(k: int, num_leaks: int, num_samples: int) -> float:
    """Estimate the probability that one of k samples leaks, without bias: 1 - C(n-c, k) / C(n, k).

    From c leaks in n >= k samples (arXiv 2511.04934; the estimator is that of pass@k, arXiv 2107.03374). The
    binomials are exact integers, so nothing overflows or cancels.
    """
    return 1.0 - comb(num_samples - num_leaks, k) / comb(num_samples, k)


def highest_probability(num_leaks: int, num_samples: int, confidence: float) -> float:
    """Return the Clopper-Pearson upper bound on the probability of a leak (arXiv 2410.03523).

    The quantile of Beta(c + 1, n - c) at the confidence, for c leaks in n samples; one-sided.
    """
    if num_leaks == num_samples:
        return 1.0
    from scipy.stats import beta

    return float(beta.ppf(confidence, num_leaks + 1, num_samples - num_leaks))


def highest_share_beyond(level: float, scores: Sequence[float], confidence: float) -> float:
    """Return an upper bound on P(h > level), by Dvoretzky, Kiefer and Wolfowitz (arXiv 2410.03523).

    1 - F_n(level) + sqrt(ln(1 / alpha) / 2n), at most 1, where F_n is the share of the scores up to the
    level. One-sided with Massart's constant, which holds for a confidence of at least a half.
    """
    beyond = fmean(score > level for score in scores)
    return min(1.0, beyond + sqrt(-log(1.0 - confidence) / (2 * len(scores))))


def expectation_and_deviation(scores: Sequence[float]) -> float:
    """Return the mean plus two (population) standard deviations (arXiv 2410.03523); may exceed 1."""
    return fmean(scores) + 2 * pstdev(scores)
