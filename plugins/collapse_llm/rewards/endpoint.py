"""Asking a chat model behind an OpenAI-compatible endpoint."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2

WORTH_ANOTHER_TRY = (408, 425, 429, 500, 502, 503, 504)
"""What a server answers that may answer better later (RFC 9110, 6585, 8470)."""
MOST_BYTES = 4_000_000
LONGEST_WAIT = 60.0


class UnreachableError(Exception):
    """The endpoint gave no answer; the text says why."""


class UnreadableError(Exception):
    """The endpoint's answer is not what was asked for; the text is what it said."""


class Endpoint:
    """A chat model behind an endpoint; threads may share it."""

    def __init__(self, url: str, timeout: float, retries: int, wait: float, key: str | None = None) -> None:
        """Take where the model is, and for how long to try.

        Args:
            url: What comes before /chat/completions.
            timeout: Seconds that the server may take for a whole answer.
            retries: How often it is asked again when it does not answer.
            wait: Seconds before it is asked again, doubled each time.
            key: What is sent as the bearer token.
        """
        self.url, self.retries, self.wait = f"{url.rstrip('/')}/chat/completions", retries, wait
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        # No redirection is followed: the key is for this endpoint alone.
        self.timeout = timeout
        self.client = httpx2.Client(headers=headers, timeout=timeout, limits=limits, follow_redirects=False)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def answer(self, messages: Sequence[Mapping[str, str]], options: Mapping[str, Any]) -> str:
        """Return what the model says next.

        Raises:
            UnreachableError: There was no answer, however often it was asked.
            UnreadableError: What came back is no chat completion.
        """
        body, why = {**options, "messages": list(messages)}, ""
        for attempt in range(self.retries + 1):
            wait = 0.0
            try:
                response, text = self._post(body)
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                why = f"{type(error).__name__}: {error}"
            else:
                if response.is_success:
                    return _content(text)
                why, wait = _refusal(response, text), _retry_after(response)
                if response.status_code not in WORTH_ANOTHER_TRY:
                    break
            if attempt < self.retries:
                time.sleep(min(LONGEST_WAIT, max(wait, self.wait * 2**attempt)))
        raise UnreachableError(why)

    def _post(self, body: Mapping[str, Any]) -> tuple[httpx2.Response, bytes]:
        """Return the response, and its first bytes."""
        read, until = b"", time.monotonic() + self.timeout
        with self.client.stream("POST", self.url, json=body) as response:
            for chunk in response.iter_bytes():
                read += chunk
                if len(read) >= MOST_BYTES:
                    break
                if time.monotonic() > until:
                    raise httpx2.ReadTimeout(f"the answer was not whole after {self.timeout:g} seconds")
        return response, read[:MOST_BYTES]


def _content(answer: bytes) -> str:
    try:
        content = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        content = None
    if not isinstance(content, str):
        raise UnreadableError(answer[:200].decode(errors="replace"))
    return content


def _refusal(response: httpx2.Response, text: bytes) -> str:
    said = text[:200].decode(errors="replace").strip()
    return f"HTTP {response.status_code} {response.reason_phrase}" + (f": {said}" if said else "")


def _retry_after(response: httpx2.Response) -> float:
    """Return the seconds of a Retry-After header; a date is not read."""
    try:
        return max(0.0, float(response.headers.get("Retry-After", 0)))
    except ValueError:
        return 0.0
