"""What must not be said: patterns, names, and personal data."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from collapse_core import CollapseError, Completion, Content, Prompt, Reward, errors
from collapse_llm.rewards import personal

LOOKS_AHEAD = re.compile(r"\(\?(?:[=!>(R|&]|\d|P>)|\(\*|[*+?}]\+")
"""Syntax by which a match may be lost when text is added behind it: lookahead, atomic groups, recursion."""

SECONDS = 2.0
"""How long one search may take."""


class BannedContent(Reward):
    """One for a completion without banned content, zero for one with it.

    Banned are matches of regular expressions (those of the `regex` package, which are Python's and more),
    names as whole words in any case, and personal data: e-mail addresses by their form, phone numbers by
    libphonenumber, IBANs, payment cards (ISO/IEC 7812) and national numbers by their check digits with
    python-stdnum. No true answer is read: what to ban is the recipe's to say.
    """

    secret_fields: ClassVar[tuple[str, ...]] = ("patterns", "names")
    works_on: ClassVar[tuple[str, ...]] = ("questions",)

    maximum: ClassVar[float] = 1.0

    patterns: list[Annotated[str, Field(min_length=1)]] = []
    """Regular expressions; a match anywhere in the completion counts."""
    names: list[Annotated[str, Field(pattern=r"\S")]] = []
    """Names, each found as whole words, in any case, with any white space between its words."""
    column: str | None = None
    """The column of the data that lists further names to ban for its row, such as "banned" of `subjects`."""
    personal: list[Literal["email", "phone", "iban", "card"]] = []
    """Which personal data is banned."""
    national_numbers: list[Annotated[str, Field(pattern=r"^[a-z]{2}\.\w+$")]] = []
    """Which national numbers are banned, by their name in python-stdnum, such as "us.ssn" or "fr.nir"."""
    region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    """The country, such as "US", whose phone numbers are found without +1; else only international ones."""

    @field_validator("patterns")
    @classmethod
    def _can_be_compiled(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            if (why := _complaint(pattern)) is not None:
                raise ValueError(f"'{pattern}' is no regular expression: {why}")
        return patterns

    @field_validator("national_numbers")
    @classmethod
    def _are_known(cls, names: list[str]) -> list[str]:
        for name in names:
            if not personal.is_known(name):
                raise ValueError(f"python-stdnum has no '{name}'; the form is 'us.ssn': country.number")
        return names

    @model_validator(mode="after")
    def _bans_something(self) -> "BannedContent":
        if not (self.patterns or self.names or self.column or self.personal or self.national_numbers):
            raise ValueError(
                "nothing is banned; give 'patterns', 'names', 'column', 'personal' or 'national_numbers'"
            )
        return self

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Search each completion."""
        return [0.0 if any(self._found(prompt, one.content)) else 1.0 for one in completions]

    def upper_bound(self, prompt: Prompt, partial: Content, reference: Completion | None) -> float:
        """Count what is found in whole words; phone numbers and patterns that look ahead may still change."""
        return 0.0 if any(self._found_for_good(prompt, partial)) else 1.0

    def lower_bound(self, prompt: Prompt, finished: Content, reference: Completion | None) -> float:
        """Return the score itself: it costs little."""
        return 0.0 if any(self._found(prompt, finished)) else 1.0

    def _found(self, prompt: Prompt, text: str) -> Iterator[bool]:
        yield from (_ends(pattern, text) is not None for pattern in self._expressions(prompt))
        if "phone" in self.personal:
            yield personal.has_phone_number(text, self.region)
        yield personal.has_number(text, self._numbers())

    def _found_for_good(self, prompt: Prompt, partial: str) -> Iterator[bool]:
        """Yield what no further text can undo: a match that ends before the space behind the last whole word.

        That space, or the end of the completion, is what any continuation has there; outer space is cut off.
        """
        whole = partial.rpartition(" ")[0].rstrip()
        for pattern in self._expressions(prompt):
            if pattern in self.patterns and LOOKS_AHEAD.search(pattern):
                continue
            end = _ends(pattern, f"{whole} ")
            yield end is not None and end <= len(whole)
        yield personal.has_number(whole, self._numbers())

    def _expressions(self, prompt: Prompt) -> list[str]:
        banned = [*self.names, *self._names_of(prompt)]
        names = [r"(?i)(?<!\w)" + r"\s+".join(map(re.escape, name.split())) + r"(?!\w)" for name in banned]
        return [*self.patterns, *names, *([personal.EMAIL] if "email" in self.personal else [])]

    def _names_of(self, prompt: Prompt) -> list[str]:
        """The names that the prompt's own row bans; one that is no list is one name."""
        if self.column is None:
            return []
        if self.column not in prompt.columns:
            raise CollapseError(
                f"'column' of 'banned-content' names '{self.column}', which the prompt '{prompt.id}' lacks; "
                f"it has {', '.join(prompt.columns) or 'no columns'}"
            )
        value = prompt.columns[self.column]
        return [str(name) for name in (value if isinstance(value, list) else [value]) if str(name).strip()]

    def _numbers(self) -> tuple[str, ...]:
        return (*(kind for kind in self.personal if kind in personal.CHECKED), *self.national_numbers)


def _ends(pattern: str, text: str) -> int | None:
    """Return where the first match of a pattern ends, if there is one."""
    try:
        found = _compiled(pattern).search(text, timeout=SECONDS)
    except TimeoutError:
        raise CollapseError(
            f"the pattern '{pattern}' of 'banned-content' takes more than {SECONDS:g} seconds to search "
            f"{len(text)} characters; (a|aa)+ and the like do that: write it without repeated overlaps"
        ) from None
    return int(found.end()) if found else None


def _complaint(pattern: str) -> str | None:
    """Why a text is no regular expression, if it is none."""
    try:
        from regex import error
    except ImportError:
        return None  # the run will say so
    try:
        _compiled(pattern)
    except error as problem:
        return str(problem)
    return None


@cache
def _compiled(pattern: str) -> Any:
    try:
        import regex
    except ImportError:
        raise errors.missing_extra("regex", "llm", "the reward 'banned-content'") from None
    return regex.compile(pattern)
