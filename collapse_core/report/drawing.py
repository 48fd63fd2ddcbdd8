"""Lines as inline SVG: numbers only, so that no name from a run gets into the drawing."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

COLORS = ("#3b82d6", "#d9730d", "#1f9d6b", "#c9569f", "#8c8a1c")
"""Distinct and legible on white and on near-black; after them the lines are dashed."""
MAX_LINES = len(COLORS) * 2
INK = "#010203"
"""What is drawn in it has the color of the text around the drawing."""
_STYLE = {
    "svg.fonttype": "none",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": INK,
    "grid.alpha": 0.15,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}

Point = tuple[float, float, float, float]
"""An iteration, a value, and the lower and upper end of its spread."""


@dataclass(frozen=True)
class Line:
    """One quantity by iteration."""

    name: str
    points: tuple[Point, ...]
    color: str
    dashed: bool


@lru_cache(maxsize=64)  # a page that is shown again as its run goes on has most of its drawings already
def draw(lines: tuple[Line, ...], limits: tuple[float, float, float, float], salt: str) -> tuple[str, str]:
    """Draw lines on axes.

    Args:
        lines: What to draw.
        limits: The ends of both axes: left, right, lower, upper.
        salt: What sets the drawing's ids apart from those of other drawings in the page.

    Returns:
        The view box, and what belongs inside the svg element.
    """

    def plot(axes: Any) -> None:
        from matplotlib.ticker import MaxNLocator

        for line in lines:
            _plot(axes, line, spread=len(lines) <= 3)
        axes.set(xlim=limits[:2], ylim=limits[2:], xlabel="iterations")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))

    return inline_svg(plot, salt)


def inline_svg(plot: Callable[[Any], None], salt: str) -> tuple[str, str]:
    """What `plot` draws on the axes that it is given, as it is put into a page; see `draw`."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import TightLayoutEngine

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's matplotlibrc sets, the same run gives the same report
        matplotlib.rcParams.update({**_STYLE, "svg.hashsalt": salt})
        figure = Figure(figsize=(5.4, 3.1), layout=TightLayoutEngine(pad=0.3))
        plot(figure.add_subplot())
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)
    return _inline(buffer.getvalue())


def _plot(axes: Any, line: Line, *, spread: bool) -> None:
    x, y, low, high = zip(*line.points, strict=True)
    style = (0, (4, 2)) if line.dashed else "-"
    dots = "o" if len(x) <= 20 else ""
    axes.plot(x, y, color=line.color, linestyle=style, linewidth=1.6, marker=dots, markersize=3.5)
    if spread and low != high:
        axes.fill_between(x, low, high, color=line.color, alpha=0.18, linewidth=0)


def _inline(svg: str) -> tuple[str, str]:
    """An SVG document as part of a page: no ids or styles that reach beyond it."""
    found = re.search(r'<svg [^>]*viewBox="([^"]+)"[^>]*>(.*)</svg>', svg, re.DOTALL)
    assert found is not None
    body = re.sub(
        r"<metadata>.*?</metadata>|<defs>\s*<style.*?</defs>|<!--.*?-->", "", found[2], flags=re.DOTALL
    )
    body = re.sub(r' id="[a-zA-Z0-9.]+_\d+"| target="_blank"', "", body).replace(INK, "currentColor")
    return found[1], re.sub(r"\n\s*", "\n", body).strip()
