"""What is to be forgotten and to be retained at once: the same rows, and near-duplicates."""

import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

from collapse_core import CollapseError, Dataset, Prompt, errors
from collapse_llm.conversations import CONTINUE, text_of

PIECE = 5
"""How many characters the pieces have whose share two texts have in common."""
NEAR = 0.8
"""The share (Jaccard similarity) from which on two texts count as near-duplicates."""
NUM_HASHES, BAND = 64, 4
"""Texts that agree in any band of so many of their minimal hashes are compared: at NEAR, 99.98 % of them."""
PRIME = (1 << 31) - 1
MOST_COMPARED = 20
"""How many texts to forget one band leads to: of templates, all look alike."""
MOST_ROWS = 5000
"""How many rows of each side are compared to describe a data set."""


class Compared(Dataset):
    """A data set for language models, which says how much is to be forgotten and to be retained at once."""

    provides: ClassVar[str] = "questions"

    @property
    def cuts_texts(self) -> bool:
        """Whether its rows are running texts, cut into a prompt and what follows; then both are compared."""
        return False

    def describe_overlap(self) -> str:
        """Say how many of the first rows to forget are among the first to retain, or nearly.

        No true answer is read, but of running text, which is cut into prompt and answer, the whole passages.
        """
        if not self.has("retain"):
            return ""
        sides = (self.load(split, targets=self.cuts_texts) for split in ("forget", "retain"))
        return described(*([*map(compared, prompts)] for prompts in sides))


def compared(prompt: Prompt) -> str:
    """Return by which text a row is compared: what it asks, without instructions that many share.

    Of running text it is the whole passage.
    """
    content = prompt.content
    if isinstance(content, Mapping):
        return f"{content[CONTINUE]} {prompt.target or ''}".strip()
    if isinstance(content, str):
        return content
    return text_of([message for message in content if message["role"] != "system"])


def described(forget: Sequence[str], retain: Sequence[str]) -> str:
    """Say in one line how many texts to forget are to be retained as well, or nearly; empty without any.

    It takes time in proportion to the length of the texts, of which the first `MOST_ROWS` are compared.
    """
    if not retain:
        return ""
    first = retain[:MOST_ROWS], forget[:MOST_ROWS]
    exact = {place for place, _ in same(*first)}
    nearly = {place for place, _ in near(*first)} - exact
    bound = f", of the first {MOST_ROWS} of each" if max(len(forget), len(retain)) > MOST_ROWS else ""
    found = f"{len(exact)} on both sides, {len(nearly)} nearly"
    return (
        f"{errors.counted(len(forget), 'prompt')} to forget, {len(retain)} to retain; {found} "
        f"(at least {NEAR:.0%} of their pieces of {PIECE} characters){bound}"
    )


def compare(
    forget: Sequence[tuple[str, str]], retain: Sequence[tuple[str, str]], *, allowed: bool
) -> Iterator[str]:
    """Yield a sentence on texts that are to forget and to retain at once, and one on near-duplicates.

    Args:
        forget: Where each text to forget is, and the text.
        retain: The same of those to retain.
        allowed: Whether a text may be on both sides.

    Raises:
        CollapseError: Some are, and may not.
    """
    sides = [text for _, text in forget], [text for _, text in retain]
    alike = same(*sides)
    if alike:
        i, j = alike[0]
        what = (
            f"{errors.counted(len(alike), 'row')} of {len(retain)} to retain ask what is to be forgotten, "
            f"such as {retain[i][0]}, which asks the same as {forget[j][0]}: {retain[i][1][:60]!r}"
        )
        if not allowed:
            raise CollapseError(f"{what}; take them out, or write 'allow_overlap: true'")
        yield what
    exact = {i for i, _ in alike}
    if nearly := [pair for pair in near(*sides) if pair[0] not in exact]:
        i, j = nearly[0]
        yield (
            f"{errors.counted(len(nearly), 'row')} of {len(retain)} to retain nearly ask what is to be "
            f"forgotten (at least {NEAR:.0%} of their pieces of {PIECE} characters), such as {retain[i][0]}, "
            f"{retain[i][1][:60]!r}, and {forget[j][0]}, {forget[j][1][:60]!r}"
        )


def normalized(text: str) -> str:
    """Return a text as it counts here: without case, forms of characters, punctuation and spacing."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = (c if unicodedata.category(c)[0] in "LMNS" else " " for c in folded)
    return " ".join("".join(kept).split()) or text


def same(forget: Sequence[str], retain: Sequence[str]) -> list[tuple[int, int]]:
    """Return the places in `retain` of texts that are in `forget` too, each with its first place there."""
    places = {text: place for place, text in reversed(list(enumerate(map(normalized, forget))))}
    return [(i, places[text]) for i, text in enumerate(map(normalized, retain)) if text in places]


def near(forget: Sequence[str], retain: Sequence[str]) -> list[tuple[int, int]]:
    """Return the places in `retain` of near-duplicates, each with the place in `forget` of one that is near.

    Two texts are near that share at least `NEAR` of their pieces of five characters. MinHash (Broder 1997)
    with banding finds them in time that grows with the length of the texts.
    """
    known = [_pieces(text) for text in forget]
    buckets: dict[tuple[int, bytes], list[int]] = {}
    for place, pieces in enumerate(known):
        for band in _bands(pieces):
            if len(there := buckets.setdefault(band, [])) < MOST_COMPARED:
                there.append(place)
    found = []
    for i, text in enumerate(retain):
        pieces = _pieces(text)
        candidates = dict.fromkeys(place for band in _bands(pieces) for place in buckets.get(band, ()))
        match = next((j for j in candidates if _similarity(pieces, known[j]) >= NEAR), None)
        if match is not None:
            found.append((i, match))
    return found


def _pieces(text: str) -> frozenset[str]:
    text = normalized(text)
    return frozenset(text[i : i + PIECE] for i in range(max(1, len(text) - PIECE + 1)))


def _similarity(a: frozenset[str], b: frozenset[str]) -> float:
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared)


def _bands(pieces: frozenset[str]) -> Iterator[tuple[int, bytes]]:
    import numpy as np

    factors, shifts = _hashes()
    codes = np.array([zlib.crc32(piece.encode("utf-8", "surrogatepass")) % PRIME for piece in pieces])
    least = ((codes[:, None] * factors + shifts) % PRIME).min(axis=0)
    for number in range(NUM_HASHES // BAND):
        yield number, least[number * BAND : (number + 1) * BAND].tobytes()


@cache
def _hashes() -> tuple[Any, Any]:
    """Two numbers for each hash (a x + b) mod p."""
    import numpy as np

    source = np.random.Generator(np.random.Philox(key=0))
    return source.integers(1, PRIME, NUM_HASHES), source.integers(0, PRIME, NUM_HASHES)


def shares(forget: Sequence[str], retain: Sequence[str]) -> list[float]:
    """Return for each text to forget its highest Jaccard similarity with a text to retain, by their pieces.

    It is exact. The time grows with the number of pairs of texts that have a piece in common.
    """
    known = [_pieces(text) for text in retain]
    places: dict[str, list[int]] = {}
    for place, pieces in enumerate(known):
        for piece in pieces:
            places.setdefault(piece, []).append(place)
    found = []
    for text in forget:
        pieces = _pieces(text)
        shared = Counter(place for piece in pieces for place in places.get(piece, ()))
        found.append(max((n / (len(pieces) + len(known[i]) - n) for i, n in shared.items()), default=0.0))
    return found
