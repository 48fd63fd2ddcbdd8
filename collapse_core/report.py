"""Rows and journal -> one self-contained HTML file."""

from collections.abc import Sequence
from pathlib import Path


def write_report(runs: Sequence[Path], to: Path) -> None:
    """Write the report on one run, or on several side by side."""
    to.write_text("")
