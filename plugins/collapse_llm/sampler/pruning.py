"""Who can no longer be kept need not be finished: the same choice for fewer tokens."""

import math

from collapse_core import Bound, Prompt
from collapse_llm.model.decoding.rows import Row
from collapse_llm.model.encoding import Encoder


class EarlyStopping:
    """The answers to one question, of which the best is kept, and of equals the first."""

    def __init__(self, prompt: Prompt, bound: Bound, floor: float, encoder: Encoder) -> None:
        """Take the floor that the best must reach, and what tells how good an answer can become."""
        self.prompt, self.bound, self.encoder = prompt, bound, encoder
        self.to_beat = (floor, math.inf)
        """The reward of the best so far, and its number; the floor itself may be equaled."""

    def finish(self, number: int, text: str) -> None:
        """An answer is finished, and perhaps the new one to beat."""
        reward = self.bound.lower_bound(self.prompt, text)
        if (reward, -number) > (self.to_beat[0], -self.to_beat[1]):
            self.to_beat = (reward, number)

    def lost(self, number: int, upper_bound: float) -> bool:
        """Return whether an answer that gets at most `upper_bound` is sure not to be kept."""
        return (upper_bound, -number) < (self.to_beat[0], -self.to_beat[1])


class Candidate:
    """One answer that may be stopped early, as the engine's `Watcher`; checked after each complete word."""

    def __init__(self, stopping: EarlyStopping, number: int) -> None:
        """Take its number; of equal answers, lower numbers are kept."""
        self.stopping, self.number = stopping, number
        self.text = ""
        """The words that are complete."""
        self.upper_bound = stopping.bound.upper_bound(stopping.prompt, "")
        self._word_start = self._seen = 0

    def follow(self, row: Row) -> None:
        """Read the last token."""
        if row.ended:
            self.stopping.finish(self.number, self.stopping.encoder.text(row.answer))
        elif self.stopping.encoder.begins_word(row.answer[-1]) and len(row.answer) > 1:
            self._read_word(row.answer[:-1])

    def _read_word(self, whole: list[int]) -> None:
        """Add the tokens since the last word; the word before them tells what they look like there."""
        before = whole[self._word_start : self._seen]
        self.text += self.stopping.encoder.growth(before, whole[self._seen :])
        self._word_start, self._seen = self._seen, len(whole)
        said = self.stopping.encoder.untagged(self.text, growing=True)
        self.upper_bound = self.stopping.bound.upper_bound(self.stopping.prompt, said.lstrip() + " ")

    def lost(self) -> bool:
        """Return whether the answer need not be finished."""
        return self.stopping.lost(self.number, self.upper_bound)
