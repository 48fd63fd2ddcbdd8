"""The words of a text in any script, as measures of overlap compare them."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from collapse_core import errors

OTHER = r"(?V1)[[\p{L}\p{Nd}]--[\p{Latin}0-9]][[\p{L}\p{M}\p{Nd}]--[\p{Latin}0-9]]*"
"""A run of letters of another script than Latin."""
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]\p{M}*"
"""A character, with its marks, of a script that is written without spaces between words."""


@lru_cache(maxsize=65536)
def stems(text: str) -> tuple[str, ...]:
    """Return the words of a text, lower-cased and stemmed as the rouge-score package does it.

    That package sees a to z and digits alone. Words in scripts other than Latin stay as they are; those that
    put no spaces between words are taken by characters.
    """
    return tuple(_tokens(text, use_stemmer=True))


def unstemmed(text: str) -> list[str]:
    """Return the words of a text as `stems` sees them, lower-cased but not stemmed."""
    return list(_tokens(text, use_stemmer=False))


def _tokens(text: str, *, use_stemmer: bool) -> Iterator[str]:
    latin, end = _tokenizer(use_stemmer), 0
    for found in _compiled(OTHER).finditer(text):
        yield from latin.tokenize(text[end : found.start()])
        yield from _pieces(found[0].casefold())
        end = found.end()
    yield from latin.tokenize(text[end:])


def words(text: str) -> list[str]:
    """Return the words between white space, lower-cased; characters where a script has no spaces."""
    return [piece for word in text.lower().split() for piece in _pieces(word)]


def _pieces(word: str) -> Iterator[str]:
    end = 0
    for found in _compiled(UNSPACED).finditer(word):
        if found.start() > end:
            yield word[end : found.start()]
        yield found[0]
        end = found.end()
    if end < len(word):
        yield word[end:]


def spans(text: str) -> list[tuple[int, int]]:
    """Return where each word begins and ends; in scripts without spaces each character is one."""
    found = []
    for run in _compiled(r"\S+").finditer(text):
        end = run.start()
        for piece in _pieces(run[0]):
            found.append((end, end + len(piece)))
            end += len(piece)
    return found


def join(before: str, after: str) -> str:
    """Return what follows a text, after a space where the script puts one between words."""
    if not before or before[-1].isspace() or is_unspaced(before[-1]) or is_unspaced(after[:1]):
        return after
    return f" {after}"


def share_unseen(texts: Sequence[str]) -> float:
    """Return the share of the letters of some texts that `stems` does not see, such as those with accents."""
    letters = [c for text in texts for c in text.lower() if c.isalpha()]
    unseen = [c for c in letters if not c.isascii() and not _compiled(OTHER).match(c)]
    return len(unseen) / len(letters) if letters else 0.0


def is_unspaced(text: str) -> bool:
    """Return whether a text has a character of a script without spaces between words."""
    return _compiled(UNSPACED).search(text) is not None


@lru_cache
def _tokenizer(use_stemmer: bool) -> Any:
    from rouge_score.tokenizers import DefaultTokenizer

    return DefaultTokenizer(use_stemmer=use_stemmer)


@lru_cache
def _compiled(pattern: str) -> Any:
    try:
        import regex
    except ImportError:
        raise errors.missing_extra("regex", "llm", "comparing words") from None
    return regex.compile(pattern)
