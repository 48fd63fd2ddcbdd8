"""How completions are drawn from a language model by a vLLM server, on this machine or another one."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Le
from pydantic import Field, field_validator

from collapse_core import Bound, CollapseError, Completion, Group, Iteration, Model, Prompt, errors
from collapse_llm.sampler import Sampling

if TYPE_CHECKING:
    from collapse_llm.sampler.vllm_client import Server


class VllmServer(Sampling):
    """Draw answers with a vLLM server, while the model is in training; the model must have `lora`.

    The server keeps the frozen weights, and takes each policy as a LoRA adapter while it runs:
    `VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 vllm serve MODEL --enable-lora --max-lora-rank RANK
    --generation-config vllm`. It reads the adapter from `directory`, which must be the same folder for both.
    Anyone who reaches such a server can have it read files: keep it on a network of your own. Each completion
    has its own seed, but vLLM's arithmetic depends on what is computed together.

    Raises:
        CollapseError: The server does not answer, serves another model, or the model has no `lora`.
    """

    temperature: Annotated[float, Ge(0.01), Le(2)] = 1.0
    """Logits are divided by it; vLLM takes no more than 2 and raises what is less than 0.01."""
    url: Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/\S*)?$")] = "http://localhost:8000"
    """Where the server is: what comes before /v1."""
    directory: str | None = None
    """Where adapters are written for the server to read; by default the directory for temporary files."""
    serves: str | None = None
    """What the server calls the untrained model's weights, where that is not the model's path."""
    api_key_env: str | None = None
    """The environment variable that holds the server's key; a recipe never holds one."""
    timeout: Annotated[float, Gt(0)] = 600.0
    """Seconds that the server may take for an answer."""
    at_once: Annotated[int, Ge(1)] = 64
    """How many answers are asked for at once; the server computes them together."""

    @field_validator("url")
    @classmethod
    def _ends_before_the_version(cls, url: str) -> str:
        return url.rstrip("/").removesuffix("/v1")

    def sample(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        num_completions: int,
        iteration: Iteration,
        bound: Bound | None = None,
    ) -> list[Group]:
        """Draw answers; each is a request of its own, with a seed of its own."""
        from collapse_llm.sampler.vllm_requests import sample_answers

        return sample_answers(self, self._server, model, prompts, num_completions, iteration)

    def sample_references(
        self, model: Model, prompts: Sequence[Prompt], iteration: Iteration
    ) -> list[Completion]:
        """Return the model's greedy answers."""
        from collapse_llm.sampler.vllm_requests import greedy_answers

        answers = greedy_answers(self, self._server, model, prompts, iteration)
        return [Completion(answer) for answer in answers]

    def _server(self, model: Model) -> "Server":
        try:
            from collapse_llm.sampler.vllm_client import Server
        except ImportError:
            raise errors.missing_extra("httpx2", "llm", "a vLLM server") from None
        return Server(self.url, self._key(), self.timeout, self.at_once, self.directory, self.serves)

    def _key(self) -> str | None:
        if self.api_key_env is None:
            return None
        if key := os.environ.get(self.api_key_env, "").strip():
            return key
        raise CollapseError(
            f"the vLLM server's key is to be in the environment variable {self.api_key_env}, which is not set"
        )
