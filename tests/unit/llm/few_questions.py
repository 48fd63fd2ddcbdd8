"""A few questions, and a tiny model that has memorized those to forget."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from collapse_core import Dataset, PromptSet
from collapse_llm.data import Authors
from collapse_llm.model import CausalLm, Teach


class Few(Dataset):
    """The first questions of each split of the authors."""

    num: int = 6
    """How many."""

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        return PromptSet(Authors().load(split, targets=targets).prompts[: self.num])


def memorized(directory: Path, num: int, epochs: int, batch_size: int | None = None) -> dict[str, Any]:
    """The weights after training on the first forget questions until they are memorized.

    They come from the cache that all workers share, so that they are trained once.
    """
    settings = Teach(
        split="forget", epochs=epochs, learning_rate=5e-3, batch_size=batch_size or num, warmup=0
    )
    model: Any = CausalLm(path=str(directory), compute="float32", teach=settings).load(Few(num=num), 0)
    return dict(model.module.state_dict())


def log_probs(model: Any, question: str, answer: str) -> tuple[Any, Any]:
    """The vocabulary's log-probabilities before each answer token, and the tokens, of one row."""
    prompt = model.encoder.prompt(question)
    tokens = [*model.encoder.answer(answer), model.encoder.tokenizer.eos_token_id]
    with torch.no_grad():
        logits = model.module(torch.tensor([prompt + tokens])).logits[0].double()
    return logits.log_softmax(-1)[len(prompt) - 1 : -1].numpy(), np.array(tokens)


def loss(model: Any, question: str, answer: str) -> Any:
    """The mean loss of an answer's tokens."""
    every, tokens = log_probs(model, question, answer)
    return -every[np.arange(len(tokens)), tokens].mean()
