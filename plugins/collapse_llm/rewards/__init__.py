"""How well forgotten a text is: overlaps, distances, fluency, manners, and what must not be said."""

from collapse_llm.rewards.rouge import RougeDistance, rouge_f1, rouge_recall
from collapse_llm.words import stems

__all__ = ["RougeDistance", "rouge_f1", "rouge_recall", "stems"]
