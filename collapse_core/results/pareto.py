"""The Pareto front: the choices that no other beats in one respect while being no worse in the other."""

from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The places of the points that no other point dominates; more is better in both respects.

    A point dominates another if it is at least as good in both and better in one; of equal points
    all are on the front, or none.

    Args:
        points: Two finite numbers each.

    Returns:
        Indices in ascending order.
    """
    order = sorted(range(len(points)), key=lambda i: points[i], reverse=True)
    front: list[int] = []
    for i in order:
        last = points[front[-1]] if front else None
        if last is None or points[i][1] > last[1] or points[i] == last:
            front.append(i)
    return sorted(front)
