"""The decoding engine for best-of-n: every prompt is read once, and no row waits for another.

A prompt is prefilled once and its keys and values are copied to the rows of its completions. Rows that
end leave, waiting prompts take their places, and when none wait the batch shrinks. Keys and values live
in one preallocated block a layer; all rows write the same column, and what lies left of a row's own
tokens is masked.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, cast
from weakref import proxy

import numpy as np
import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin

from collapse_core import progress
from collapse_llm.model.decoding.choosing import Choice
from collapse_llm.model.decoding.plain import decode_plainly
from collapse_llm.model.decoding.rows import Row, drop_lost, take
from collapse_llm.model.decoding.verifying import find_way
from collapse_llm.model.finite import not_finite
from collapse_llm.model.marks import Decoding, decoding_of

ADMIT_FROM = 0.25
"""Waiting prompts are read once this share of the rows is free: reading a few is as slow as many."""


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
    decode_as(check_decoding(module), module, groups, choice, end_ids, max_rows)


def check_decoding(module: Any) -> Decoding:
    """Return how a module's answers are decoded; at first, a few tokens are decoded to find out.

    Raises:
        CollapseError: In no way does the module compute token by token what it computes for a whole text.
    """
    return decoding_of(module) or find_way(module, decode_as)


def decode_as(
    way: Decoding,
    module: Any,
    groups: Sequence[Sequence[Row]],
    choice: Choice,
    end_ids: frozenset[int],
    max_rows: int,
) -> None:
    """Fill in the answers of all rows in a given way; see `decode` for the other arguments."""
    if way == "generate":
        decode_plainly(module, groups, choice, end_ids)
        return
    waiting = deque(sorted((list(g) for g in groups if g), key=lambda g: -len(g[0].prompt)))
    if not waiting:
        return
    with _attention_for_single_tokens(module) if way == "fast" else nullcontext():
        total = sum(map(len, waiting))
        batch = _Batch(module, waiting, choice, end_ids, max_rows)
        progress.report("answers", 0, total)
        while waiting or batch.rows:
            if waiting and batch.has_room_for(waiting[0]):
                batch.admit(waiting)
            else:
                batch.advance()
            progress.report("answers", total - len(batch.rows) - sum(map(len, waiting)), total)


@contextmanager
def _attention_for_single_tokens(module: Any) -> Iterator[None]:
    """Have the kernel that reads grouped keys as they are, where eager attention would copy them."""
    before = module.config._attn_implementation
    replaced = before == "eager" and module._supports_sdpa
    if replaced:
        module.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        if replaced:
            module.set_attn_implementation(before)


class _Batch:
    """The rows that are being decoded; they fill the first places of the block."""

    def __init__(
        self, module: Any, groups: Sequence[list[Row]], choice: Choice, end_ids: frozenset[int], max_rows: int
    ) -> None:
        self.module, self.choice, self.end_ids = module, choice, end_ids
        num_rows = sum(map(len, groups))
        self.max_rows = min(num_rows, max(max_rows, *(len(group) for group in groups)))
        self.longest = max(len(row.prompt) + row.room for group in groups for row in group)
        self.longest_prompt = len(groups[0][0].prompt)
        room = max(row.room for group in groups for row in group)
        capacity = self.longest_prompt + room if num_rows <= self.max_rows else 2 * self.longest
        self.cache = _BlockCache(self.max_rows, capacity, width=self.longest_prompt)
        self.mask = torch.zeros((self.max_rows, capacity), dtype=torch.long, device=module.device)
        self.tokens = torch.zeros(self.max_rows, dtype=torch.long, device=module.device)
        self.rows: list[Row] = []
        self.sources: list[np.random.Generator] = []

    def has_room_for(self, group: Sequence[Row]) -> bool:
        """Return whether reading further prompts is worth the while."""
        free = self.max_rows - len(self.rows)
        return free >= max(len(group), ADMIT_FROM * self.max_rows) or not self.rows

    def admit(self, waiting: deque[list[Row]]) -> None:
        """Read the prompts of as many waiting groups as there is room for."""
        groups: list[list[Row]] = []
        free = self.max_rows - len(self.rows)
        while waiting and len(waiting[0]) <= free:
            groups.append(waiting.popleft())
            free -= len(groups[-1])
        rows = [row for group in groups for row in group]
        owner = torch.tensor([i for i, g in enumerate(groups) for _ in g], device=self.module.device)
        logits = self._read([group[0].prompt for group in groups], owner)
        self.rows += rows
        self.sources += [np.random.Generator(np.random.Philox(key=row.seed)) for row in rows]
        self._take(logits, first=len(self.rows) - len(rows))

    def _read(self, prompts: Sequence[list[int]], owner: torch.Tensor) -> torch.Tensor:
        """Prefill prompts into the next free rows, one for each owner; returns their next logits."""
        length = max(map(len, prompts))
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
        places = slice(len(self.rows), len(self.rows) + len(owner))
        self.cache.write(read, owner, places)
        self.mask[places] = 0
        self.mask[places, self.cache.width - length : self.cache.width] = mask[owner]
        next_logits: torch.Tensor = logits[owner]
        return next_logits

    def advance(self) -> None:
        """Decode one more token of every row."""
        if self.cache.width == self.cache.capacity:
            self._shift()
        num, start, width = self._num_computed(), self.cache.start, self.cache.width
        self.cache.num_rows = num
        self.mask[:num, width] = 1
        seen = self.mask[:num, start : width + 1]
        logits = self.module(
            input_ids=self.tokens[:num, None],
            attention_mask=seen,
            # What lies beyond the rows is computed to no end, but must not run past the last position.
            position_ids=(seen.sum(-1, keepdim=True) - 1).clamp(max=self.longest - 1),
            past_key_values=self.cache,
            use_cache=True,
        ).logits[:, -1]
        self.cache.width += 1
        self._take(logits[: len(self.rows)], first=0)

    def _num_computed(self) -> int:
        """Return the rows, rounded up to eight: matrix kernels are prepared anew for each new shape."""
        return min(-(-len(self.rows) // 8) * 8, self.max_rows)

    def _take(self, logits: torch.Tensor, first: int) -> None:
        """Choose the next tokens of the rows from `first` on, and let go of the rows that have ended."""
        if not torch.isfinite(logits.amax(-1)).all():  # one NaN makes the largest NaN
            raise not_finite(self.module)
        tokens = self.choice.choose(logits, self.sources[first:])
        self.tokens[first : len(self.rows)] = tokens
        take(self.rows[first:], tokens.tolist(), self.end_ids)
        drop_lost(self.rows)
        self._close_ranks()

    def _close_ranks(self) -> None:
        """Move the last rows into the places of those that have ended."""
        num_alive = sum(not row.ended for row in self.rows)
        if num_alive == len(self.rows):
            return
        holes = [i for i in range(num_alive) if self.rows[i].ended]
        movers = [i for i in range(num_alive, len(self.rows)) if not self.rows[i].ended]
        for hole, mover in zip(holes, movers, strict=True):
            self.rows[hole], self.sources[hole] = self.rows[mover], self.sources[mover]
        del self.rows[num_alive:], self.sources[num_alive:]
        self.tokens[holes], self.mask[holes] = self.tokens[movers], self.mask[movers]
        self.cache.move(movers, holes)
        self._trim()

    def _trim(self) -> None:
        """Leave out the columns in which no row has tokens."""
        used = self.mask[: len(self.rows), : self.cache.width].any(0).nonzero()
        self.cache.start = int(used[0]) if len(used) else self.cache.width

    def _shift(self) -> None:
        """The block is full: move everything left."""
        columns = min(self.cache.start, self.cache.width - self.longest_prompt)
        self.cache.shift(columns)
        self.mask = torch.cat([self.mask[:, columns:], torch.zeros_like(self.mask[:, :columns])], dim=1)


class _BlockCache(Cache):
    """Keys and values in one preallocated block a layer; rows can come and go."""

    layers: "list[_BlockLayer]"

    def __init__(self, max_rows: int, capacity: int, width: int) -> None:
        super().__init__(layer_class_to_replicate=_BlockLayer)
        self.max_rows, self.capacity = max_rows, capacity
        self.num_rows = 0
        """How many rows are computed."""
        self.start = width
        """The first column that any row needs."""
        self.width = width
        """The next column to be written."""

    def write(self, read: DynamicCache, owner: torch.Tensor, places: slice) -> None:
        """Put what was read of each owner's prompt right before the next column."""
        self.layers = self.layers or [_BlockLayer(self) for _ in read.layers]
        length = read.get_seq_length()
        self.start = min(self.start, self.width - length)
        for layer, source in zip(self.layers, read.layers, strict=True):
            layer.lazy_initialization(source.keys, source.values)
            columns = slice(self.width - length, self.width)
            layer.keys[places, :, columns] = source.keys[owner]
            layer.values[places, :, columns] = source.values[owner]

    def move(self, rows: Sequence[int], places: Sequence[int]) -> None:
        """Copy rows to other places."""
        columns = slice(self.start, self.width)
        for layer in self.layers if rows else ():
            for block in (layer.keys, layer.values):
                block[places, :, columns] = block[rows, :, columns]

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
    is_initialized: bool

    def __init__(self, cache: _BlockCache) -> None:
        super().__init__()
        # Not a reference: a cycle would keep the block until the garbage collector comes by.
        self.cache = cast(_BlockCache, proxy(cache))

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        if self.is_initialized:
            return
        # Zeros, not garbage: what is masked is still multiplied, by zero, and NaN would survive that.
        self.keys, self.values = (
            states.new_zeros((self.cache.max_rows, states.shape[1], self.cache.capacity, states.shape[3]))
            for states in (key_states, value_states)
        )
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        num, start, column = self.cache.num_rows, self.cache.start, self.cache.width
        self.keys[:num, :, column] = key_states[:, :, 0]
        self.values[:num, :, column] = value_states[:, :, 0]
        return self.keys[:num, :, start : column + 1], self.values[:num, :, start : column + 1]

    def get_seq_length(self) -> int:
        return self.cache.width - self.cache.start

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        return self.cache.capacity
