"""The decoding engine for best-of-n: every prompt is read once, and no row waits for another.

A prompt is prefilled once and its cache copied to the rows of its completions. Rows that end leave,
waiting prompts take their places, and when none wait the batch shrinks. Keys and values live in one
preallocated block a layer; all rows write the same column, and what lies left of a row's own tokens
is masked.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin

from collapse_llm.sampler.choosing import Choice

SHRINK_BELOW = 0.8
"""The batch is compacted once fewer than this share of its rows are alive."""


@dataclass(eq=False)
class Row:
    """One completion in the making."""

    prompt: list[int]
    seed: int
    room: int
    """How many tokens it may get, the end included."""
    answer: list[int] = field(default_factory=list)
    """The tokens so far, without the end."""
    ended: bool = False


def decode(
    module: Any, groups: Sequence[Sequence[Row]], choice: Choice, end_ids: frozenset[int], max_rows: int
) -> None:
    """Fill in the answers of all rows.

    Args:
        module: A transformers causal language model in evaluation mode.
        groups: Rows that share a prompt, together.
        choice: How tokens are chosen; a row's draws depend on its seed alone.
        end_ids: The tokens that end an answer.
        max_rows: How many rows are decoded at once, but at least one group.
    """
    waiting = deque(sorted((list(g) for g in groups if g), key=lambda g: -len(g[0].prompt)))
    if not waiting:
        return
    batch = _Batch(module, waiting, choice, end_ids, max_rows)
    while waiting or batch.rows:
        if waiting and batch.num_free >= min(len(waiting[0]), max_rows):
            batch.admit(waiting)
        else:
            batch.advance()


class _Batch:
    """The rows that are being decoded."""

    def __init__(
        self, module: Any, groups: Sequence[list[Row]], choice: Choice, end_ids: frozenset[int], max_rows: int
    ) -> None:
        self.module, self.choice, self.end_ids = module, choice, end_ids
        self.max_rows = max(max_rows, *(len(group) for group in groups))
        self.longest = max(len(row.prompt) + row.room for group in groups for row in group)
        all_at_once = sum(map(len, groups)) <= self.max_rows
        self.longest_prompt = self.width = len(groups[0][0].prompt)
        """The next column to be written."""
        capacity = self.width + max(r.room for g in groups for r in g) if all_at_once else 2 * self.longest
        self.cache = _BlockCache(capacity)
        self.mask = torch.zeros((0, capacity), dtype=torch.long, device=module.device)
        self.rows: list[Row] = []
        self.sources: list[np.random.Generator] = []
        self.tokens = torch.zeros(0, dtype=torch.long, device=module.device)

    @property
    def num_free(self) -> int:
        return self.max_rows - len(self.rows)

    def admit(self, waiting: deque[list[Row]]) -> None:
        """Read the prompts of as many waiting groups as there is room for."""
        groups: list[list[Row]] = []
        while waiting and sum(map(len, groups)) + len(waiting[0]) <= self.num_free:
            groups.append(waiting.popleft())
        length = max(len(group[0].prompt) for group in groups)
        prompts = [group[0].prompt for group in groups]
        device = self.module.device
        ids = torch.tensor([[0] * (length - len(p)) + p for p in prompts], device=device)
        mask = torch.tensor([[0] * (length - len(p)) + [1] * len(p) for p in prompts], device=device)
        read = DynamicCache()
        logits = self.module(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            past_key_values=read,
            use_cache=True,
            # An index, not a count: the slice that a count takes sends a copy of the vocabulary
            # matrix through a batched product for each prompt.
            logits_to_keep=torch.tensor([-1], device=device),
        ).logits[:, -1]
        owner = torch.tensor([i for i, group in enumerate(groups) for _ in group], device=device)
        self.cache.append(read, owner, self.width)
        self.cache.start = min(self.cache.start, self.width - length)
        fresh = torch.zeros((len(owner), self.mask.shape[1]), dtype=torch.long, device=device)
        fresh[:, self.width - length : self.width] = mask[owner]
        self.mask = torch.cat([self.mask, fresh])
        rows = [row for group in groups for row in group]
        sources = [np.random.Generator(np.random.Philox(key=row.seed)) for row in rows]
        tokens = self.choice.choose(logits[owner], sources)
        self.rows += rows
        self.sources += sources
        self.tokens = torch.cat([self.tokens, tokens])
        self._take(range(len(self.rows) - len(rows), len(self.rows)))

    def advance(self) -> None:
        """Decode one more token of every row."""
        self._next_column()
        self.mask[:, self.width] = 1
        start, self.cache.width = self.cache.start, self.width
        seen = self.mask[:, start : self.width + 1]
        logits = self.module(
            input_ids=self.tokens[:, None],
            attention_mask=seen,
            # A row that has ended but not left yet must not run past the last position there is.
            position_ids=(seen.sum(-1, keepdim=True) - 1).clamp(max=self.longest - 1),
            past_key_values=self.cache,
            use_cache=True,
        ).logits[:, -1]
        self.width += 1
        self.tokens = self.choice.choose(logits, self.sources)
        self._take(range(len(self.rows)))

    def _take(self, indices: range) -> None:
        """Note the new tokens of some rows, and let go of the rows that have ended."""
        for index, token in zip(indices, self.tokens[indices.start :].tolist(), strict=True):
            row = self.rows[index]
            row.room -= 1
            if token in self.end_ids:
                row.ended = True
            elif not row.ended:
                row.answer.append(token)
                row.ended = row.room <= 0
        alive = [i for i, row in enumerate(self.rows) if not row.ended]
        if len(alive) < SHRINK_BELOW * len(self.rows) or not alive:
            self._keep(alive)

    def _keep(self, alive: list[int]) -> None:
        chosen = torch.tensor(alive, dtype=torch.long, device=self.tokens.device)
        self.rows = [self.rows[i] for i in alive]
        self.sources = [self.sources[i] for i in alive]
        self.tokens, self.mask = self.tokens[chosen], self.mask[chosen]
        self.cache.keep(chosen)
        self._trim()

    def _trim(self) -> None:
        """Leave out the columns in which no row has tokens."""
        used = self.mask[:, : self.width].any(0).nonzero()
        self.cache.start = int(used[0]) if len(used) else self.width

    def _next_column(self) -> None:
        """Have a column to write; where the block is full, move everything left."""
        if self.width < self.mask.shape[1]:
            return
        self._trim()
        shift = min(self.cache.start, self.width - self.longest_prompt)
        self.cache.shift(shift)
        self.mask = torch.cat([self.mask[:, shift:], torch.zeros_like(self.mask[:, :shift])], dim=1)
        self.width -= shift


class _BlockCache(Cache):
    """Keys and values in one preallocated block a layer; rows can come and go."""

    layers: "list[_BlockLayer]"

    def __init__(self, capacity: int) -> None:
        super().__init__(layer_class_to_replicate=_BlockLayer)
        self.capacity = capacity
        self.start = 0
        """The first column that any row needs."""
        self.width = 0
        """The next column to be written."""

    def append(self, read: DynamicCache, owner: torch.Tensor, width: int) -> None:
        """Add a row for each owner, with what was read of its prompt right before column `width`."""
        self.layers = self.layers or [_BlockLayer(self) for _ in read.layers]
        self.width = width
        for layer, source in zip(self.layers, read.layers, strict=True):
            layer.append(source.keys, source.values, owner)

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all other rows."""
        for layer in self.layers:
            layer.keys, layer.values = layer.keys[rows], layer.values[rows]

    def shift(self, columns: int) -> None:
        """Move everything left by so many columns."""
        for layer in self.layers:
            for block in (layer.keys, layer.values):
                block[:, :, : self.capacity - columns] = block[:, :, columns:].clone()
        self.start -= columns
        self.width -= columns


class _BlockLayer(CacheLayerMixin):
    """One layer of the block, of shape (rows, heads, capacity, head size)."""

    is_sliding = False

    def __init__(self, cache: _BlockCache) -> None:
        super().__init__()
        self.cache = cache

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.keys, self.values = (
            states.new_empty((0, states.shape[1], self.cache.capacity, states.shape[3]))
            for states in (key_states, value_states)
        )
        self.is_initialized = True

    def append(self, keys: torch.Tensor, values: torch.Tensor, owner: torch.Tensor) -> None:
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        self.keys, self.values = self._grown(self.keys, keys, owner), self._grown(self.values, values, owner)

    def _grown(self, block: torch.Tensor, read: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
        rows, width = len(block), self.cache.width
        # Zeros, not garbage: what is masked is still multiplied, by zero, and NaN would survive that.
        grown = block.new_zeros((rows + len(owner), *block.shape[1:]))
        grown[:rows] = block
        grown[rows:, :, width - read.shape[2] : width] = read[owner]
        return grown

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        column, start = self.cache.width, self.cache.start
        self.keys[:, :, column] = key_states[:, :, 0]
        self.values[:, :, column] = value_states[:, :, 0]
        return self.keys[:, :, start : column + 1], self.values[:, :, start : column + 1]

    def get_seq_length(self) -> int:
        return self.cache.width - self.cache.start

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        return self.cache.capacity
