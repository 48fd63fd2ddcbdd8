"""How a judge is asked, behind an endpoint or in this process, and numbers out of what it says."""

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from annotated_types import Ge, Gt
from pydantic import Field, PrivateAttr, field_validator, model_validator

from collapse_core import CollapseError, Component, Dataset, HasSplits, Model, Prompt, errors, require
from collapse_llm.rewards.fluency import OtherModel

if TYPE_CHECKING:
    from collapse_llm.rewards.endpoint import Endpoint

MOST_LETTERS = 4000
"""How much of the end of an answer is searched for the number."""
AGAIN = "Say the number alone."
OF_ENDPOINTS = ("url", "model", "api_key_env", "timeout", "wait", "if_unreachable")


class AsksJudge(Component):
    """A part that has a chat model give numbers: one behind an OpenAI-compatible endpoint, or in process."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$", examples=["http://localhost:8000/v1"])] | None = None
    """The endpoint: what comes before /chat/completions, such as "http://localhost:8000/v1"."""
    model: str | None = None
    """What the endpoint calls the model."""
    judge_model: OtherModel | None = None
    """A model to ask in this process instead, which answers greedily; nothing is sent anywhere."""
    number: str = r"(?<![\d.])(-?\d++(?:\.\d++)?)\s*+(?:/\s*+\d++\s*+)?(?:\.\s*+)?$"
    """A regular expression whose group is the number; by default one at the end of the answer."""
    options: dict[str, Any] = {"temperature": 0, "max_tokens": 256, "seed": 0}
    """What else is sent, as the endpoint names it; of these `judge_model` heeds `max_tokens` alone."""
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
    _judge: Model | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _names_one_judge(self) -> "AsksJudge":
        given = [
            name for name in OF_ENDPOINTS if getattr(self, name) != type(self).model_fields[name].default
        ]
        if self.judge_model is None and None in (self.url, self.model):
            raise ValueError("name the judge: 'url' and 'model' of an endpoint, or 'judge_model'")
        if self.judge_model is not None and given:
            raise ValueError(f"'{given[0]}' is for an endpoint; leave it or 'judge_model' out")
        return self

    @field_validator("url")
    @classmethod
    def _holds_no_key(cls, url: str | None) -> str | None:
        if url is None:
            return None
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

    def splits_read(self, data: HasSplits) -> list[str]:
        """Return what the part reads itself, and what a judge in this process is taught."""
        taught = self.judge_model.splits_read(data) if self.judge_model else []
        return list(dict.fromkeys([*super().splits_read(data), *taught]))

    def open_judge(self, data: Dataset) -> None:
        """Load the judge, or look whether the key of its endpoint is there.

        Raises:
            CollapseError: It cannot be loaded, or there is no key.
        """
        self.key()
        if self.judge_model is not None and self._judge is None:
            self._judge = self.judge_model.load(data, 0)

    def close_judge(self) -> None:
        """Drop a judge of this process; what it has said is remembered."""
        self._judge = None

    def _ask_about(self, new: Sequence[str], span: tuple[float, float]) -> None:
        if self.judge_model is not None:
            self._ask_here(new, span)
            return
        assert self.url is not None
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

    def _ask_here(self, new: Sequence[str], span: tuple[float, float]) -> None:
        """Ask the judge of this process; where a text gets no number, again in the same conversation."""
        from collapse_llm.model.language_model import LanguageModel
        from collapse_llm.sampler.answering import greedy_answers

        if self._judge is None:
            raise CollapseError(f"'{self.use}' has no judge to ask; call its open_judge()")
        judge = require(self._judge, LanguageModel, "a judge")
        length = int(self.options.get("max_tokens", 256))
        asked: dict[str, Any] = {text: text for text in new}
        for _ in range(self.retries + 1):
            prompts = [Prompt(text, content) for text, content in asked.items()]
            said = dict(zip(asked, greedy_answers(judge, prompts, length, self.at_once), strict=True))
            read = {text: self._read(answer, span) for text, answer in said.items()}
            self._known |= {(text, span): share for text, share in read.items() if share is not None}
            asked = {text: _again(text, said[text]) for text, share in read.items() if share is None}
            if not asked or not judge.encoder.chat:
                break
        if asked and self.if_unreadable == "stop":
            last = said[next(iter(asked))]
            raise self._failure(f"says no number but '{last[-200:]}'", "if_unreadable")

    def _failure(self, what: str, key: str) -> CollapseError:
        judge = f"'{self.model}' at {self.url}" if self.url else "in this process"
        mend = "start it, mend the recipe" if self.url else "choose a larger one"
        return CollapseError(
            f"the judge {judge} {what}; {mend}, or set '{key}: abstain' to go on without its verdict"
        )

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
            raise self._failure(what, key)
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
            more = _doubts(said)
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


def _again(text: str, said: str) -> list[dict[str, str]]:
    """The conversation in which the judge is asked for the number alone."""
    return [{"role": "user", "content": text}, *_doubts(said)]


def _doubts(said: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": said}, {"role": "user", "content": AGAIN}]
