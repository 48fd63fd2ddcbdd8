"""vLLM's engine next to the model in training; each policy is passed to it as a fresh adapter.

Written against vLLM 0.33.0: `LLM`, `SamplingParams`, `LoRARequest`, and `remove_lora` of `LLM.llm_engine`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from tempfile import TemporaryDirectory
from typing import Any
from weakref import WeakKeyDictionary

import torch

from collapse_core import CollapseError, Completion, Group, Iteration, Model, Prompt, derive_seed, require
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.sampler.vllm_settings import VllmSampling

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes for `max_lora_rank`."""

_engines: "WeakKeyDictionary[LanguageModel, Engine]" = WeakKeyDictionary()
"""Each model's engine, which goes when its model goes."""


def sample_answers(
    settings: VllmSampling,
    model: Model,
    prompts: Sequence[Prompt],
    num_completions: int,
    iteration: Iteration,
) -> list[Group]:
    """Return groups of answers, in the order of the prompts."""
    choice = {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k or 0,  # 0 is all
        "min_p": settings.min_p,
    }
    # A derived seed has 63 bits, and vLLM takes 64 with a sign.
    choices = [
        [
            choice | {"seed": derive_seed(iteration.seed, prompt.id, number)}
            for number in range(num_completions)
        ]
        for prompt in prompts
    ]
    answers = iter(_answers(settings, model, prompts, choices, iteration))
    return [
        Group(
            prompt,
            tuple(
                Completion(text, n, iteration.number, num_tokens=num, cut=cut and not settings.end_where_cut)
                for n, (text, num, cut) in enumerate(islice(answers, num_completions))
            ),
        )
        for prompt in prompts
    ]


def greedy_answers(
    settings: VllmSampling, model: Model, prompts: Sequence[Prompt], iteration: Iteration
) -> list[str]:
    """Return the greedy answer to each prompt, which vLLM gives at a temperature of 0."""
    greedy = [[{"temperature": 0.0}] for _ in prompts]
    return [text for text, *_ in _answers(settings, model, prompts, greedy, iteration)]


def _answers(
    settings: VllmSampling,
    model: Model,
    prompts: Sequence[Prompt],
    choices: Sequence[Sequence[Mapping[str, Any]]],
    iteration: Iteration,
) -> list[tuple[str, int, bool]]:
    """Return one answer per choice, its number of tokens and whether it has no end, prompt by prompt."""
    language = require(model, LanguageModel, settings.use)
    _require_adapter(language)
    from vllm import SamplingParams

    asked, params = [], []
    for prompt, own in zip(prompts, choices, strict=True):
        wanted = min(settings.max_new_tokens, language.encoder.max_length // 2)
        ids = language.encoder.fitted(language.encoder.prompt(prompt.content), wanted)
        common = {
            "max_tokens": min(settings.max_new_tokens, _room(language, prompt, ids)),
            "stop_token_ids": sorted(language.end_ids),
            "detokenize": False,
        }
        asked += [{"prompt_token_ids": ids} for _ in own]
        params += [SamplingParams(**common, **choice) for choice in own]
    answers = _engine(settings, language).generate(language, asked, params, iteration.number) if asked else []
    said = [[id_ for id_ in ids if id_ not in language.end_ids] for ids in answers]
    cut = [language.end_ids.isdisjoint(ids) for ids in answers]
    return [(language.encoder.text(ids), len(ids), no_end) for ids, no_end in zip(said, cut, strict=True)]


def _room(model: LanguageModel, prompt: Prompt, ids: Sequence[int]) -> int:
    room = model.encoder.max_length - len(ids)
    if room < 1:
        raise CollapseError(
            f"the prompt {prompt.id!r} has {len(ids)} tokens, which leaves no room for an answer; "
            f"give the model a max_length above that (it is {model.encoder.max_length})"
        )
    return room


def _require_adapter(model: LanguageModel) -> None:
    if not hasattr(model.module, "peft_config"):
        raise CollapseError(
            "the sampler 'vllm' takes what is trained as an adapter, and this model trains all its weights; "
            "set model.lora (for instance to {rank: 16}), or write 'sampler: {use: generate}'"
        )


def _engine(settings: VllmSampling, model: LanguageModel) -> "Engine":
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
        self, model: LanguageModel, prompts: Sequence[Mapping[str, Any]], params: Sequence[Any], version: int
    ) -> list[list[int]]:
        """Return the tokens of an answer to each prompt, by the model as it is now.

        Args:
            model: The model, whose adapter is passed on.
            prompts: vLLM's token prompts.
            params: SamplingParams, one per prompt.
            version: The version of the policy.
        """
        with self._awake(), self._adapter(model, version) as adapter:
            outputs = self.llm.generate(prompts, list(params), use_tqdm=False, lora_request=adapter)
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
