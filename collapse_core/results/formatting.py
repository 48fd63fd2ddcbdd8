"""Numbers and texts as people read them; templates have these as filters."""

import json
import math
import re
from typing import Any

from collapse_core.contracts.types import Metric
from collapse_core.results.distance import Distance

BETTER = {"up": "higher is better", "down": "lower is better"}
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_UNSEEN = re.compile(
    _UNPRINTABLE.pattern[:-1]
    + r"\u061c\u200b\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""What is not printed, and what is invisible, or turns the direction of the text around it."""


def format_number(value: Any, digits: int = 4) -> str:
    """A number in at most so many digits; "-" for none, and what is no number as text."""
    if value is None:
        return "-"
    return f"{value:.{digits}g}" if isinstance(value, int | float) else plain(value, 40)


def plain(value: Any, limit: int = 0) -> str:
    """Anything a model was asked or answered, as text that is safe to print.

    Args:
        value: Text, or plain data, which is shown as compact JSON.
        limit: Cut what is longer than this, with an ellipsis; 0 cuts nothing.
    """
    return _UNPRINTABLE.sub("\ufffd", _as_text(value, limit))


def visible(value: Any, limit: int = 0) -> str:
    """As `plain`, but a character that cannot be seen is named, such as "⟨U+001B⟩"."""
    return _UNSEEN.sub(_named, _as_text(value, limit))


def _as_text(value: Any, limit: int) -> str:
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    shown: str = value[: limit - 1] + "…" if 0 < limit < len(value) else value
    return shown.replace("\r\n", "\n").replace("\r", "\n")


def _named(found: re.Match[str]) -> str:
    return f"⟨U+{ord(found[0]):04X}⟩"


def format_metric(metric: Metric | None) -> str:
    """A number with its interval, like "93.1 (90.2, 95.4)": two digits of its width, a decimal at least."""
    if metric is None or not (interval := interval_of(metric)):
        return format_number(metric and metric.value)
    return f"{metric.value:.{_decimals(interval[1] - interval[0])}f} {format_interval(interval)}"


def interval_of(metric: Metric) -> tuple[float, float] | None:
    """The interval of a metric; None for none, and for one without width."""
    low, high = metric.low, metric.high
    return (low, high) if low is not None and high is not None and 0 < high - low < math.inf else None


def format_distance(distance: Distance) -> str:
    """A signed number, after the mark of what went too far."""
    return "-" if distance.value is None else f"{distance.mark} {distance.value:+.3g}".strip()


def format_cell(cell: Metric | Distance | None) -> str:
    """The text of a cell of the table of metrics."""
    return format_distance(cell) if isinstance(cell, Distance) else format_metric(cell)


def format_seconds(seconds: float) -> str:
    """A duration in its two largest units."""
    if round(seconds) < 60:
        return "under 0.1 s" if seconds < 0.1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def format_count(count: float) -> str:
    """A count with separated thousands, like "74,040"."""
    return f"{count:,.0f}"


def format_interval(interval: tuple[float, float] | None) -> str:
    """An interval to two digits of its width, like "(90.2, 95.4)"; nothing for none, or one without width."""
    if interval is None:
        return ""
    low, high = interval
    if not math.isfinite(high - low) or high - low <= 1e-9 * max(abs(low), abs(high)):
        return ""
    decimals = _decimals(high - low)
    return f"({low:.{decimals}f}, {high:.{decimals}f})"


def _decimals(width: float) -> int:
    """How many decimals show two digits of an interval's width; at least one."""
    return max(1, 1 - math.floor(math.log10(width))) if width > 0 else 1
