"""Finding personal data in a text, by the rules of those who give it out."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from collapse_core import errors

EMAIL = r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
"""An e-mail address as most are; quoted local parts and addresses in brackets are not found."""

CHECKED = ("iban", "card")
"""What is known by its check digits, besides national numbers."""

BETWEEN = re.compile(r"[\s:;,()\[\]{}\"'<>|=]+")
WRITABLE = re.compile(r"(?=.*\d)[A-Za-z0-9 ./-]{4,48}")
CARD = re.compile(r"(?=[3-6]|2[2-7])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5})")
"""The groups in which the 13 to 19 digits of a payment card are written, in the ranges that are in use."""
MOST_PIECES = 9
"""In how many pieces a number may be written: an IBAN has up to nine groups of four."""


def has_phone_number(text: str, region: str | None) -> bool:
    """Return whether there is a valid phone number in a text, in national form too if a region is given."""
    try:
        from phonenumbers import PhoneNumberMatcher
    except ImportError:
        raise errors.missing_extra("phonenumbers", "llm", "finding phone numbers") from None
    return PhoneNumberMatcher(text, region).has_next()


def has_number(text: str, kinds: Sequence[str]) -> bool:
    """Return whether a text holds a number of one of these kinds, by its form and its check digits.

    Words are never split: text that is added behind a space does not undo what was found before it.
    """
    checks = [_check(kind) for kind in kinds]
    return bool(checks) and any(check(piece) for piece in _pieces(text) for check in checks)


def is_known(kind: str) -> bool:
    """Return whether there is a national number of this name."""
    country, _, name = kind.partition(".")
    try:
        from stdnum.util import get_cc_module
    except ImportError:
        return True  # the run will say so
    return hasattr(get_cc_module(country, name), "is_valid")


def _pieces(text: str) -> Iterator[str]:
    """Yield each few neighboring words that could be a number."""
    found = [word for part in BETWEEN.split(text) if (word := part.strip(".-/!?"))]
    for start in range(len(found)):
        for end in range(start + 1, min(start + MOST_PIECES, len(found)) + 1):
            piece = " ".join(found[start:end])
            if WRITABLE.fullmatch(piece):
                yield piece


@cache
def _check(kind: str) -> Callable[[str], bool]:
    try:
        from stdnum import iban, luhn
        from stdnum.util import get_cc_module
    except ImportError:
        raise errors.missing_extra("python-stdnum", "llm", "finding numbers by their check digits") from None
    if kind == "iban":
        return iban.is_valid
    if kind == "card":
        return lambda piece: bool(CARD.fullmatch(piece)) and luhn.is_valid(re.sub(r"\D", "", piece))
    country, _, name = kind.partition(".")
    number = get_cc_module(country, name)
    assert number is not None
    return number.is_valid
