"""What OpenUnlearning calls sets of questions and metrics."""

from typing import Literal

PREFIXES = {"forget": "forget", "retain": "retain", "real_authors": "ra", "world_facts": "wf"}
"""What OpenUnlearning calls each set of questions."""
UTILITY = tuple(split for split in PREFIXES if split != "forget")
Better = Literal["up", "down"]


def better(name: str) -> Better:
    """Which way of a metric is better, by OpenUnlearning's names."""
    kept = name.startswith(("retain", "ra_", "wf_", "model_utility"))
    return "up" if kept or name in ("forget_truth_ratio", "forget_quality") else "down"
