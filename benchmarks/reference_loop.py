"""The plain loop, as the paper's public implementation works, without its distribution over GPUs.

Facts of that implementation that cost time or memory, and are kept here: `generate` on the questions of
one training batch, each prompt repeated for its completions and padded on the left, so that every row
is decoded until the longest of the batch has ended; ROUGE-L by the rouge-score package; rows padded to
200 tokens on the right; one forward pass for the kept answers and another for the retain answers, with
the loss that the model computes from the logits of all positions; and a forward pass on the true
answers whose loss is only logged. It alternates between sampling and training, batch by batch; here
all batches are sampled first, so that every column draws from the same weights. The times add up to
the same.

In bfloat16 it computes in bfloat16 weights and steps on float32 ones, as ZeRO-3 does for it there.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import exp
from typing import Any

import torch
from rouge_score.rouge_scorer import RougeScorer
from transformers import GenerationConfig

from benchmarks.columns import Draws, cut_answers
from benchmarks.material import Material
from collapse_core import Kept, Prompt
from collapse_llm.model.encoding import Example

IGNORED = -100


class ReferenceLoop:
    """One iteration by `generate`, rouge-score and padded batches."""

    def __init__(self, material: Material) -> None:
        """Take over the model, with the attention kernel that transformers would choose."""
        self.material, self.model = material, material.model
        self.module: Any = self.model.module
        self.module.set_attn_implementation("sdpa")
        self.masters = list(self.module.parameters())
        if self.model.compute == torch.bfloat16:
            self.masters = [torch.nn.Parameter(p.detach().clone()) for p in self.module.parameters()]
            self.module.to(torch.bfloat16)
        updater: Any = material.recipe.updater
        self.settings = updater
        self.optimizer = torch.optim.AdamW(
            self.masters, lr=updater.learning_rate, weight_decay=updater.weight_decay, fused=True
        )

    @contextmanager
    def running(self) -> Iterator[Any]:
        """The module is always the same."""
        yield self.module

    def greedy(self, prompts: Sequence[Prompt]) -> list[Draws]:
        """By `generate` without sampling."""
        return self._generate(prompts, 1, GenerationConfig(do_sample=False))

    def sample(self, prompts: Sequence[Prompt], num_completions: int) -> list[Draws]:
        """By `generate`, one training batch of questions at a time."""
        sampler: Any = self.material.recipe.sampler
        how = GenerationConfig(do_sample=True, temperature=sampler.temperature, top_p=sampler.top_p, top_k=0)
        torch.manual_seed(self.material.iteration.seed)
        return self._generate(prompts, num_completions, how)

    def _generate(self, prompts: Sequence[Prompt], num: int, how: GenerationConfig) -> list[Draws]:
        how.max_new_tokens = self.material.recipe.sampler.max_new_tokens  # type: ignore[attr-defined]
        how.eos_token_id = sorted(self.model.end_ids)
        how.pad_token_id = self.model.encoder.tokenizer.pad_token_id
        self.module.eval()
        size = self.material.batch_size
        return [
            one
            for start in range(0, len(prompts), size)
            for one in self._generate_batch(prompts[start : start + size], num, how)
        ]

    def _generate_batch(self, prompts: Sequence[Prompt], num: int, how: GenerationConfig) -> list[Draws]:
        rows = [self.model.encoder.prompt(p.content) for p in prompts for _ in range(num)]
        ids, mask = padded(rows, how.pad_token_id, "left", self.model.device)
        out = self.call_generate(input_ids=ids, attention_mask=mask, generation_config=how)
        return cut_answers(self.model, prompts, num, out[:, ids.shape[1] :])

    def call_generate(self, **inputs: Any) -> torch.Tensor:
        """Transformers' own loop."""
        with torch.no_grad():
            out: torch.Tensor = self.module.generate(**inputs)
        return out

    def score(self, draws: Sequence[Draws]) -> list[Kept]:
        """The least overlapping completion of each prompt; of equals, the first."""
        scorer = RougeScorer(["rougeL"], use_stemmer=True)
        min_len = self.material.recipe.rewards[0].min_len  # type: ignore[attr-defined]
        kept = []
        for one in draws:
            prompt, completions = one.group.prompt, one.group.completions
            reference = self.material.references[prompt.id]
            overlaps = [_overlap(scorer, reference, c.content, min_len) for c in completions]
            least = overlaps.index(min(overlaps))
            kept.append(Kept(prompt, completions[least], 1.0 - overlaps[least]))
        return kept

    def prepare(self, kept: Sequence[Kept], retain: Sequence[Prompt]) -> None:
        """Nothing: rows are tokenized batch by batch."""

    def update(self, kept: Sequence[Kept], retain: Sequence[Prompt]) -> None:
        """One optimizer step a batch of kept answers and as many retain answers."""
        self.module.train()
        size = self.material.batch_size
        for start in range(0, len(kept), size):
            own, others = kept[start : start + size], retain[start : start + size]
            collapse = self._loss([(k.prompt.content, k.completion.content) for k in own])
            retained = self._loss([(p.content, p.target) for p in others])
            with torch.no_grad():  # only for the log
                self._loss([(k.prompt.content, k.prompt.target) for k in own]).item()
            (collapse + self.settings.retain_weight * retained).backward()
            self._step()

    def _loss(self, rows: Sequence[tuple[str, str]]) -> torch.Tensor:
        """The model's own loss on rows padded to the longest length allowed."""
        encoder, device = self.model.encoder, self.model.device
        examples: list[Example] = [encoder.example(question, answer) for question, answer in rows]
        pad = encoder.tokenizer.pad_token_id
        ids, mask = padded([e.ids for e in examples], pad, "right", device, encoder.max_length)
        labels = ids.masked_fill(mask == 0, IGNORED)
        for row, example in enumerate(examples):
            labels[row, : example.answer_start] = IGNORED
        loss: torch.Tensor = self.module(input_ids=ids, attention_mask=mask, labels=labels).loss
        return loss

    def _step(self) -> None:
        computed = list(self.module.parameters())
        apart = computed[0] is not self.masters[0]
        for its, mine in zip(computed, self.masters, strict=True) if apart else ():
            mine.grad, its.grad = its.grad.float(), None
        torch.nn.utils.clip_grad_norm_(self.masters, self.settings.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for its, mine in zip(computed, self.masters, strict=True) if apart else ():
                its.copy_(mine)


def _overlap(scorer: Any, reference: str, text: str, min_len: int) -> float:
    num_words = len(text.split(" "))
    penalty = exp(-num_words) if num_words < min_len else 0.0
    return min(1.0, float(scorer.score(reference, text)["rougeL"].recall) + penalty)


def padded(
    rows: Sequence[Sequence[int]], pad: int, side: str, device: torch.device, length: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and their mask, of shape (rows, length), by default the longest row's."""
    length = length or max(map(len, rows))
    ids = torch.full((len(rows), length), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), length), dtype=torch.long)
    for i, row in enumerate(rows):
        own = slice(length - len(row), None) if side == "left" else slice(len(row))
        ids[i, own] = torch.tensor(row)
        mask[i, own] = 1
    return ids.to(device), mask.to(device)
