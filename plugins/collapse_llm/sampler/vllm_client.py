"""The HTTP interface of a vLLM server: completions of tokens, and adapters loaded while it runs.

Written against vLLM 0.33.0: `/v1/models`, `/v1/completions` with `return_token_ids`, `/v1/load_lora_adapter`
and `/v1/unload_lora_adapter`.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import httpx2

from collapse_core import CollapseError
from collapse_llm.model.language_model import LanguageModel

TRIES = 3
"""How often a connection is tried."""


@dataclass(frozen=True)
class Server:
    """A vLLM server that holds the frozen weights of a model."""

    url: str
    key: str | None
    timeout: float
    at_once: int
    directory: str | None
    serves: str | None

    def generate(
        self,
        model: LanguageModel,
        prompts: Sequence[list[int]],
        params: Sequence[Mapping[str, Any]],
        version: int,
    ) -> list[list[int]]:
        """Return the tokens of an answer to each prompt, by the model as it is now.

        Raises:
            CollapseError: The server does not answer, refuses, or serves another model.
        """
        limits = httpx2.Limits(max_connections=self.at_once)
        with (
            httpx2.Client(
                headers={"Authorization": f"Bearer {self.key}"} if self.key else {},
                timeout=self.timeout,
                transport=httpx2.HTTPTransport(retries=TRIES, limits=limits),
            ) as client,
            self._adapter(client, model, version) as name,
            ThreadPoolExecutor(self.at_once) as threads,
        ):
            bodies = [
                {"model": name, "prompt": ids, "return_token_ids": True, **one}
                for ids, one in zip(prompts, params, strict=True)
            ]
            return list(threads.map(lambda body: self._tokens(client, body), bodies))

    @contextmanager
    def _adapter(self, client: httpx2.Client, model: LanguageModel, version: int) -> Iterator[str]:
        """The model's adapter as it is now, in the server for as long as it is asked."""
        self._check_model(client, model)
        # A name is never used twice: the server would go on answering with the adapter it has.
        name = f"policy-{version}-{uuid4().hex[:12]}"
        with TemporaryDirectory(prefix="collapse-adapter-", dir=self.directory) as directory:
            model.module.save_pretrained(directory, save_embedding_layers=False)
            self._ask(client, "load_lora_adapter", {"lora_name": name, "lora_path": directory})
            try:
                yield name
            finally:
                self._ask(client, "unload_lora_adapter", {"lora_name": name})

    def _check_model(self, client: httpx2.Client, model: LanguageModel) -> None:
        """Refuse a server of other weights, or of a shorter context."""
        wanted = self.serves or model.source.path
        served = [one for one in self._ask(client, "models").get("data", []) if not one.get("parent")]
        ours = [one for one in served if wanted in (one.get("id"), one.get("root"))]
        if not ours:
            names = ", ".join(str(one.get("root") or one.get("id")) for one in served)
            raise CollapseError(
                f"the vLLM server at {self.url} serves {names or 'nothing'}, and the model in "
                f"training began as {wanted}; start it with these weights, or say by 'serves' under "
                "'sampler' what the server calls them"
            )
        longest = ours[0].get("max_model_len")
        if longest and longest < model.encoder.max_length:
            raise CollapseError(
                f"the vLLM server at {self.url} takes {longest} tokens and the model's max_length "
                f"is {model.encoder.max_length}; start it with --max-model-len {model.encoder.max_length}"
            )

    def _tokens(self, client: httpx2.Client, body: Mapping[str, Any]) -> list[int]:
        try:
            return [int(token) for token in self._ask(client, "completions", body)["choices"][0]["token_ids"]]
        except (LookupError, TypeError, ValueError):
            raise CollapseError(
                f"the vLLM server at {self.url} gave a completion without 'token_ids'; "
                "update it to vLLM 0.33.0 or newer"
            ) from None

    def _ask(self, client: httpx2.Client, what: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return what the server answers, or nothing where that is no mapping."""
        try:
            url = f"{self.url}/v1/{what}"
            response = client.get(url) if body is None else client.post(url, json=body)
        except httpx2.HTTPError as error:
            raise CollapseError(
                f"the vLLM server at {self.url} does not answer ({type(error).__name__}: {error}); "
                "start it as 'collapse plugins show vllm-server' says"
            ) from None
        if not response.is_success:
            raise CollapseError(
                f"the vLLM server at {self.url} refuses /v1/{what}: HTTP {response.status_code} "
                f"{response.text[:200].strip()}; start it as 'collapse plugins show vllm-server' says"
            )
        found = (
            response.json() if response.headers.get("content-type", "").startswith("application/json") else {}
        )
        return found if isinstance(found, dict) else {}
