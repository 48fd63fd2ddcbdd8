"""Who can no longer be kept need not be finished: the same choice for fewer tokens."""

import math

from collapse_core import Bound, Prompt
from collapse_llm.model.encoding import Encoder
from collapse_llm.sampler.decoding import Row


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
        """Whether an answer that gets at most `upper_bound` is sure not to be kept."""
        return (upper_bound, -number) < (self.to_beat[0], -self.to_beat[1])


class Candidate:
    """One answer of a contest, as the engine's `Watcher`; looked at whenever a word is complete."""

    def __init__(self, contest: EarlyStopping, number: int) -> None:
        """Take a place in the contest; of equals, lower numbers win."""
        self.contest, self.number = contest, number
        self.text = ""
        """The words that are complete."""
        self.upper_bound = contest.bound.upper_bound(contest.prompt, "")
        self._word_start = self._seen = 0

    def follow(self, row: Row) -> None:
        """Read the last token."""
        if row.ended:
            self.contest.finish(self.number, self.contest.encoder.text(row.answer))
        elif self.contest.encoder.begins_word(row.answer[-1]) and len(row.answer) > 1:
            self._read_word(row.answer[:-1])

    def _read_word(self, whole: list[int]) -> None:
        """Add the tokens since the last word; the word before them tells what they look like there."""
        before = whole[self._word_start : self._seen]
        self.text += self.contest.encoder.growth(before, whole[self._seen :])
        self._word_start, self._seen = self._seen, len(whole)
        self.upper_bound = self.contest.bound.upper_bound(self.contest.prompt, self.text.lstrip() + " ")

    def lost(self) -> bool:
        """Whether the answer need not be finished."""
        return self.contest.lost(self.number, self.upper_bound)
