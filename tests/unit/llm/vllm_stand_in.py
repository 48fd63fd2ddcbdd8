"""A stand-in for vLLM that records what it is asked, and answers with the real small model.

It takes arguments that vLLM 0.33.0 takes and no others, checks the values that matter here, and keeps an
adapter that it has read until that is removed: asked with a number that it knows, it does not read again.
"""

import copy
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from collapse_llm.model.decoding.choosing import Greedy, Nucleus
from collapse_llm.model.decoding.engine import decode
from collapse_llm.model.decoding.rows import Row


@dataclass
class SamplingParams:
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop_token_ids: list[int] | None = None
    max_tokens: int | None = 16
    detokenize: bool = True

    def __post_init__(self):
        assert self.temperature == 0 or 0.01 <= self.temperature <= 2
        assert isinstance(self.top_k, int)
        assert self.top_k >= -1
        assert self.seed is None or 0 <= self.seed < 2**63
        assert self.max_tokens >= 1


@dataclass(frozen=True)
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str

    def __post_init__(self):
        assert self.lora_int_id >= 1


@dataclass
class Generated:
    """A call of `generate`, with the adapter that lay on disk at that time."""

    prompts: list
    params: list
    request: LoRARequest
    weights: dict = field(default_factory=dict)


class LLM:
    made: list = []

    def __init__(
        self, model, *, revision, tokenizer_revision, dtype, max_model_len, gpu_memory_utilization,
        enable_lora, max_lora_rank, enable_sleep_mode, generation_config,
    ):  # fmt: skip
        self.arguments = {key: value for key, value in locals().items() if key != "self"}
        allowed = (1, 8, 16, 32, 64, 128, 256, 320, 512)
        assert max_lora_rank in allowed
        self.module = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype))
        self.llm_engine = SimpleNamespace(remove_lora=self._remove_lora)
        self.adapters, self.calls, self.generated, self.asleep = {}, [], [], False
        LLM.made.append(self)

    def generate(self, prompts, sampling_params=None, *, use_tqdm=True, lora_request=None):
        assert not self.asleep
        assert not use_tqdm
        assert len(prompts) == len(sampling_params)
        self.calls.append("generate")
        weights = load_file(Path(lora_request.lora_path) / "adapter_model.safetensors")
        self.generated.append(Generated(prompts, sampling_params, lora_request, weights))
        if lora_request.lora_int_id not in self.adapters:
            base = copy.deepcopy(self.module)
            adapted = PeftModel.from_pretrained(base, lora_request.lora_path).eval()
            self.adapters[lora_request.lora_int_id] = adapted
        return self._answers(self.adapters[lora_request.lora_int_id], prompts, sampling_params)

    def _answers(self, module, prompts, params):
        rows = [
            Row(list(p["prompt_token_ids"]), s.seed or 0, s.max_tokens)
            for p, s in zip(prompts, params, strict=True)
        ]
        groups = []
        for row in rows:
            if groups and groups[-1][0].prompt == row.prompt:
                groups[-1].append(row)
            else:
                groups.append([row])
        one = params[0]
        choice = Nucleus(one.temperature or 1, one.top_p, one.top_k or None, one.min_p)
        with torch.inference_mode():
            ends = frozenset(one.stop_token_ids)
            decode(module, groups, choice if one.temperature else Greedy(), ends, 256)
        return [
            SimpleNamespace(outputs=[SimpleNamespace(token_ids=self._with_end(row, one))]) for row in rows
        ]

    def _with_end(self, row, params):
        """vLLM gives the token that ended an answer, too."""
        ended = len(row.answer) < params.max_tokens
        return (*row.answer, *params.stop_token_ids[-1:]) if ended else tuple(row.answer)

    def _remove_lora(self, number):
        assert not self.asleep
        self.calls.append("remove_lora")
        return self.adapters.pop(number, None) is not None

    def sleep(self, level=1):
        assert self.arguments["enable_sleep_mode"]
        assert level == 1
        assert not self.asleep
        self.calls.append("sleep")
        self.asleep = True

    def wake_up(self):
        assert self.asleep
        self.calls.append("wake_up")
        self.asleep = False
