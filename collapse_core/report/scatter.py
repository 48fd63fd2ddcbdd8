"""Forgetting against utility as inline SVG: rows by number, the front, and the models to compare with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from collapse_core.report.drawing import COLORS, INK, inline_svg
from collapse_core.results.rows import Interval

SHAPES = ("o", "s", "^", "D", "v")
"""matplotlib's markers; with the colors they distinguish 25 rows, and the numbers any."""


@dataclass(frozen=True)
class Dot:
    """A row, or a model to compare with, at its forgetting and utility."""

    number: str
    """What is written next to it; a row's number in the table, else a letter."""
    name: str
    x: float
    y: float
    x_spread: Interval | None = None
    y_spread: Interval | None = None
    on_front: bool = False
    is_reference: bool = False
    place: int = 0
    """Which color and shape it has."""
    link: str = ""
    """Where it leads to; empty for nowhere."""

    @property
    def color(self) -> str:
        """Its color; that of the text for a model to compare with."""
        return INK if self.is_reference else COLORS[self.place % len(COLORS)]

    @property
    def shape(self) -> str:
        """Its marker."""
        return "P" if self.is_reference else SHAPES[self.place // len(COLORS) % len(SHAPES)]


def draw_dots(dots: Sequence[Dot], signs: tuple[int, int]) -> tuple[str, str]:
    """Draw dots, the front as a line, and where the models to compare with are.

    Args:
        dots: What to draw.
        signs: For both axes 1, or -1 where less is better; better is to the right and up in either case.

    Returns:
        The view box, and what belongs inside the svg element.
    """

    def plot(axes: Any) -> None:
        for dot in dots:
            _plot(axes, dot)
        front = sorted(
            (dot for dot in dots if dot.on_front), key=lambda dot: (signs[0] * dot.x, -signs[1] * dot.y)
        )
        if len(front) > 1:
            axes.step(
                [dot.x for dot in front],
                [dot.y for dot in front],
                where="pre",
                color=INK,
                linewidth=1,
                alpha=0.55,
                zorder=1,
            )
        if signs[0] < 0:
            axes.invert_xaxis()
        if signs[1] < 0:
            axes.invert_yaxis()
        axes.margins(0.08)

    return inline_svg(plot, "front")


def _plot(axes: Any, dot: Dot) -> None:
    for spread, value, side in ((dot.x_spread, dot.x, "xerr"), (dot.y_spread, dot.y, "yerr")):
        if spread:
            around = [[max(0.0, value - spread[0])], [max(0.0, spread[1] - value)]]
            axes.errorbar(
                [dot.x], [dot.y], fmt="none", ecolor=dot.color, elinewidth=1, alpha=0.45, **{side: around}
            )
    hollow = dot.is_reference or not dot.on_front
    axes.plot(
        [dot.x],
        [dot.y],
        marker=dot.shape,
        markersize=7,
        color=dot.color,
        markerfacecolor="none" if hollow else dot.color,
        linestyle="none",
        url=dot.link or None,
    )
    axes.annotate(
        dot.number,
        (dot.x, dot.y),
        textcoords="offset points",
        xytext=(6, 5),
        fontsize=10,
        color=INK,
        url=dot.link or None,
    )
