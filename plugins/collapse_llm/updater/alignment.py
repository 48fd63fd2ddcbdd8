"""Which tokens of an answer another answer to the same question does not share."""

from collections.abc import Sequence
from difflib import SequenceMatcher


def unshared(pushed: Sequence[int], kept: Sequence[int], question: Sequence[int] = ()) -> list[bool]:
    """Return for each token of an answer whether it is in neither the other answer's place nor the question.

    Two answers are aligned by their longest common blocks of tokens: the longest block first, then the
    longest to the left of it and to the right of it, and so on (Ratcliff and Metzener, Dr. Dobb's Journal 46,
    1988, as in `difflib`). What is in a block is shared. A token that occurs twice in one answer and once in
    the other is therefore shared once.

    Args:
        pushed: The token ids of the answer that is to become less likely.
        kept: The token ids of the answer that is learned instead.
        question: Token ids that are never selected, wherever they occur in the answer.
    """
    blocks = SequenceMatcher(None, pushed, kept, autojunk=False).get_matching_blocks()
    shared = {place for start, _, size in blocks for place in range(start, start + size)}
    spared = frozenset(question)
    return [place not in shared and token not in spared for place, token in enumerate(pushed)]
