"""Student's distribution."""

import math
from functools import lru_cache


@lru_cache
def student_quantile(degrees: int, confidence: float = 0.95) -> float:
    """The t between whose negative and itself Student's distribution has this probability.

    By bisection on the closed form for whole degrees of freedom (Abramowitz and Stegun, Handbook of
    Mathematical Functions, 1964, 26.7.3 and 26.7.4).

    Args:
        degrees: Degrees of freedom, at least 1.
        confidence: The probability, between 0 and 1.
    """
    low, high = 0.0, 1.0
    while _student_inside(high, degrees) < confidence:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_inside(middle, degrees) < confidence else (low, middle)
    return high


def _student_inside(t: float, degrees: int) -> float:
    """P(-t < T < t)."""
    angle = math.atan(t / math.sqrt(degrees))
    odd = degrees % 2
    term, total = math.cos(angle) if odd else 1.0, 0.0
    for number in range(1, (degrees - odd) // 2 + 1):
        total += term
        term *= math.cos(angle) ** 2 * (2 * number - 1 + odd) / (2 * number + odd)
    inside = math.sin(angle) * total
    return (angle + inside) * 2 / math.pi if odd else inside
