"""Quantities in words and few digits."""

import math


def format_seconds(seconds: float) -> str:
    """A duration in its two largest units."""
    if round(seconds) < 60:
        return "under 0.1 s" if seconds < 0.1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def format_count(count: float) -> str:
    """A large number of things, like "74,040"."""
    return f"{count:,.0f}"


def format_interval(interval: tuple[float, float] | None) -> str:
    """An interval to two digits of its width, like "(90.2, 95.4)"; nothing for none, or one without width."""
    if interval is None:
        return ""
    low, high = interval
    if not math.isfinite(high - low) or high - low <= 1e-9 * max(abs(low), abs(high)):
        return ""
    decimals = decimals_for(high - low)
    return f"({low:.{decimals}f}, {high:.{decimals}f})"


def decimals_for(width: float) -> int:
    """How many decimals show two digits of an interval's width; at least one."""
    return max(1, 1 - math.floor(math.log10(width))) if width > 0 else 1
