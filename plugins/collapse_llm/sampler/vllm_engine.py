"""vLLM's engine next to the model in training; each policy is passed to it as a fresh adapter.

Written against vLLM 0.33.0: `LLM`, `SamplingParams`, `LoRARequest`, and `remove_lora` of `LLM.llm_engine`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any
from weakref import WeakKeyDictionary

import torch

from collapse_llm.model.language_model import LanguageModel
from collapse_llm.sampler.vllm_settings import VllmSampling

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes for `max_lora_rank`."""

_engines: "WeakKeyDictionary[LanguageModel, Engine]" = WeakKeyDictionary()
"""Each model's engine, which goes when its model goes."""


def engine_of(settings: VllmSampling, model: LanguageModel) -> "Engine":
    """Return the engine of a model, which is started at first."""
    torch.cuda.empty_cache()  # else training's allocator keeps what the engine needs
    if model not in _engines:
        _engines[model] = Engine(settings, model)
    return _engines[model]


class Engine:
    """A vLLM engine that holds the frozen weights of one model; it must not hold the model itself."""

    def __init__(self, settings: VllmSampling, model: LanguageModel) -> None:
        """Start it on the weights that the model was opened from, in the precision it computes in."""
        from vllm import LLM

        rank = model.module.peft_config["default"].r
        self.llm = LLM(
            model=model.source.path,
            revision=model.source.revision,
            tokenizer_revision=model.source.revision,
            dtype=str(model.compute).removeprefix("torch."),
            max_model_len=model.encoder.max_length,
            gpu_memory_utilization=settings.gpu_memory_utilization,
            enable_lora=True,
            max_lora_rank=next((allowed for allowed in LORA_RANKS if allowed >= rank), rank),
            enable_sleep_mode=settings.sleep,
            generation_config="vllm",  # its own neutral one, never the model's
        )
        self.sleeps = settings.sleep
        self.asleep = False
        self.num_adapters = 0

    def generate(
        self,
        model: LanguageModel,
        prompts: Sequence[list[int]],
        params: Sequence[Mapping[str, Any]],
        version: int,
    ) -> list[list[int]]:
        """Return the tokens of an answer to each prompt, by the model as it is now."""
        from vllm import SamplingParams

        asked = [{"prompt_token_ids": ids} for ids in prompts]
        settings = [SamplingParams(**one, detokenize=False) for one in params]
        with self._awake(), self._adapter(model, version) as adapter:
            outputs = self.llm.generate(asked, settings, use_tqdm=False, lora_request=adapter)
        return [list(output.outputs[0].token_ids) for output in outputs]

    @contextmanager
    def _awake(self) -> Iterator[None]:
        if self.asleep:
            self.llm.wake_up()
            self.asleep = False
        try:
            yield
        finally:
            if self.sleeps:
                self.llm.sleep(level=1)  # level 2 would discard the frozen weights, too
                self.asleep = True

    @contextmanager
    def _adapter(self, model: LanguageModel, version: int) -> Iterator[Any]:
        """The model's adapter as it is now, on disk and then in the engine for as long as it is asked."""
        from vllm.lora.request import LoRARequest

        # vLLM reads an adapter only if it has none with that id, and knows its cached prefixes by the name:
        # "lora_int_id must be globally unique for a given adapter. This is currently not enforced in vLLM."
        # (LoRARequest) With an id used again the old policy would go on answering, and nothing would say so.
        self.num_adapters += 1
        number = self.num_adapters
        with TemporaryDirectory(prefix="collapse-adapter-") as directory:
            model.module.save_pretrained(directory, save_embedding_layers=False)
            try:
                yield LoRARequest(f"policy-{version}-{number}", number, directory)
            finally:
                self.llm.llm_engine.remove_lora(number)
