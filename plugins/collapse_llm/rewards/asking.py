"""How a judge is asked: the settings of an endpoint, and numbers out of what it says."""

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from annotated_types import Ge, Gt
from pydantic import Field, PrivateAttr, field_validator

from collapse_core import CollapseError, Component, errors

if TYPE_CHECKING:
    from collapse_llm.rewards.endpoint import Endpoint

MOST_LETTERS = 4000
"""How much of the end of an answer is searched for the number."""
AGAIN = "Say the number alone."


class AsksJudge(Component):
    """A part that has a chat model behind an OpenAI-compatible endpoint give numbers."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$", examples=["http://localhost:8000/v1"])]
    """The endpoint: what comes before /chat/completions, such as "http://localhost:8000/v1"."""
    model: str
    """What the endpoint calls the model."""
    number: str = r"(?<![\d.])(-?\d++(?:\.\d++)?)\s*+(?:/\s*+\d++\s*+)?(?:\.\s*+)?$"
    """A regular expression whose group is the number; by default one at the end of the answer."""
    options: dict[str, Any] = {"temperature": 0, "max_tokens": 256, "seed": 0}
    """What else is sent, as the endpoint names it."""
    api_key_env: str | None = None
    """The environment variable that holds the key; a recipe never holds one."""
    timeout: Annotated[float, Gt(0)] = 60.0
    """Seconds that the endpoint may take for a whole answer."""
    retries: Annotated[int, Ge(0)] = 3
    """How often it is asked again when it does not answer, or when its answer has no number."""
    wait: Annotated[float, Ge(0)] = 1.0
    """Seconds before it is asked again, doubled each time."""
    at_once: Annotated[int, Ge(1)] = 4
    """How many texts are asked about at once."""
    if_unreadable: Literal["abstain", "stop"] = "abstain"
    """What to do when no answer has a number: go on without the verdict, or end the run."""
    if_unreachable: Literal["abstain", "stop"] = "stop"
    """What to do when there is no answer at all."""

    _known: dict[tuple[str, tuple[float, float]], float] = PrivateAttr(default_factory=dict)

    @field_validator("url")
    @classmethod
    def _holds_no_key(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            known = parts.username or parts.password
            whole = bool(parts.hostname) and parts.port != 0
        except ValueError as error:
            raise ValueError(f"this is no URL: {error}") from None
        if known:
            raise ValueError(
                "the URL holds a user or a key, which would be stored with the run; name the environment "
                "variable that holds the key with 'api_key_env'"
            )
        if not whole:
            raise ValueError("the URL names no host")
        return url

    @field_validator("number")
    @classmethod
    def _has_one_group(cls, number: str) -> str:
        try:
            groups = re.compile(number).groups
        except re.error as error:
            raise ValueError(f"'{number}' is no regular expression: {error}") from None
        if groups != 1:
            raise ValueError(f"'{number}' must have one group, for the number, and has {groups}")
        return number

    def verdicts(self, asked: Sequence[str], lowest: float, highest: float) -> list[float | None]:
        """Return what the judge answers to each text, as a share of the span; None where it abstains.

        Each different text is asked once per process, several at once.

        Raises:
            CollapseError: The judge gives no number or no answer, and the run is to stop then.
        """
        span = (lowest, highest)
        if new := [text for text in dict.fromkeys(asked) if (text, span) not in self._known]:
            self._ask_about(new, span)
        return [self._known.get((text, span)) for text in asked]

    def _ask_about(self, new: Sequence[str], span: tuple[float, float]) -> None:
        try:
            from collapse_llm.rewards.endpoint import Endpoint
        except ImportError:
            raise errors.missing_extra("httpx2", "llm", "a judge") from None
        with (
            closing(Endpoint(self.url, self.timeout, self.retries, self.wait, self.key())) as endpoint,
            ThreadPoolExecutor(self.at_once) as threads,
        ):
            found = threads.map(partial(self._verdict, endpoint, span), new)
            for text, verdict in zip(new, found, strict=True):
                if verdict is not None:
                    self._known[text, span] = verdict

    def _verdict(self, endpoint: "Endpoint", span: tuple[float, float], text: str) -> float | None:
        """Return the judge's verdict on one text; None if it is to be done without."""
        from collapse_llm.rewards.endpoint import UnreachableError

        try:
            verdict, said = self._ask(endpoint, span, text)
        except UnreachableError as error:
            verdict, what, key = None, f"does not answer ({error})", "if_unreachable"
        else:
            what, key = f"says no number but '{said[-200:]}'", "if_unreadable"
        if verdict is None and getattr(self, key) == "stop":
            raise CollapseError(
                f"the judge '{self.model}' at {self.url} {what}; start it, mend the recipe, or set "
                f"'{key}: abstain' to go on without its verdict"
            )
        return verdict

    def _ask(self, endpoint: "Endpoint", span: tuple[float, float], text: str) -> tuple[float | None, str]:
        """Return the number in what the judge says, if there is one, and what it says last."""
        from collapse_llm.rewards.endpoint import UnreadableError

        opening, said = [{"role": "user", "content": text}], ""
        more: list[dict[str, str]] = []
        for _ in range(self.retries + 1):
            try:
                said = endpoint.answer([*opening, *more], {**self.options, "model": self.model})
            except UnreadableError as error:
                said = str(error)
                continue
            if (verdict := self._read(said, span)) is not None:
                return verdict, said
            more = [{"role": "assistant", "content": said}, {"role": "user", "content": AGAIN}]
        return None, said

    def _read(self, said: str, span: tuple[float, float]) -> float | None:
        """Return the number in an answer as a share of the span; None if there is none inside."""
        found = re.search(self.number, said.strip()[-MOST_LETTERS:])
        try:
            share = (float(found[1]) - span[0]) / (span[1] - span[0]) if found else None
        except (TypeError, ValueError):
            return None
        return share if share is not None and 0 <= share <= 1 else None

    def key(self) -> str | None:
        """Return the key from the environment; None where none is sent.

        Raises:
            CollapseError: It is to be there, and is not.
        """
        if self.api_key_env is None:
            return None
        key = os.environ.get(self.api_key_env, "").strip()
        if not key:
            raise CollapseError(
                f"the judge's key is to be in the environment variable {self.api_key_env}, which is not set"
            )
        return key
